"""The options of waitress-serve (waitress 3), in the order of its help."""

from __future__ import annotations

from portico.config.old_words.word import Becomes, Instead, Part, Same, Server

_FAMILIES = "the address says it: `-b :PORT` is all of IPv4, `-b [::]:PORT` IPv6 too"
_LOOP = "not needed: epoll waits, without a tick"


def _listen(value: str) -> list[str]:
    return [word for address in value.split() for word in ("--bind", address)]


def _url_prefix(value: str) -> list[str]:
    # As waitress does: the first slash may be absent, others may stand at the end.
    return ["--script-name", f"/{value.strip('/')}"]


WAITRESS = Server(
    "waitress",
    (
        Becomes("--call", "--factory", note="or `portico run 'shop:create_app()'`"),
        Part("--host ADDRESS", "host", note="`-b HOST:PORT`; without `--port`, 8080 as in waitress"),
        Part("--port PORT", "port", note="`-b HOST:PORT`; without `--host`, all of IPv4 as in waitress"),
        Becomes(
            "--listen ADDRESS",
            "--bind ADDRESS",
            convert=_listen,
            meant=lambda value: not value.isdecimal(),
            note="all addresses are `:PORT` or `[::]:PORT`, not `*:PORT`",
        ),
        Instead("--ipv4 --no-ipv4 --ipv6 --no-ipv6", note=_FAMILIES),
        Becomes("--unix-socket PATH", "--bind unix:PATH", convert=lambda value: ["--bind", f"unix:{value}"]),
        Instead("--unix-socket-perms MODE", note="an option of the address: `-b 'unix:PATH?mode=660'`"),
        Instead("--sockets LIST", note="`-b fd://N` takes an inherited socket"),
        Instead(
            "--url-scheme NAME",
            note="X-Forwarded-Proto or Forwarded of `--forwarded-allow-ips` says it, or HTTPS over uwsgi, "
            "FastCGI and "
            "SCGI",
        ),
        Becomes("--url-prefix PATH", "--script-name PATH", convert=_url_prefix),
        Becomes("--ident TEXT", "--server-header"),
        Instead(
            "--server-name NAME", note="not needed: without a Host header it is the address that was reached"
        ),
        Same("--threads N", note="the default is 8, not 4"),
        Same("--backlog N"),
        Becomes("--trusted-proxy ADDRESS", "--forwarded-allow-ips"),
        Instead(
            "--trusted-proxy-count N",
            note="not needed: X-Forwarded-For is read from its end, as long as its addresses are in "
            "`--forwarded-allow-ips`",
        ),
        Instead(
            "--trusted-proxy-headers LIST",
            note="Forwarded and X-Forwarded-* of `--forwarded-allow-ips` are believed; let the reverse "
            "proxy remove "
            "those that it does not set",
        ),
        Instead(
            "--log-untrusted-proxy-headers --no-log-untrusted-proxy-headers",
            note="not needed: they are removed",
        ),
        Becomes("--clear-untrusted-proxy-headers", "--untrusted-forwarded remove"),
        Becomes("--no-clear-untrusted-proxy-headers", "--untrusted-forwarded keep"),
        Instead("--recv-bytes N", note="not needed: nothing depends on how much one read takes"),
        Instead("--send-bytes N", note="not needed: a block is sent as soon as it is there"),
        Becomes("--outbuf-overflow BYTES", "--response-memory"),
        Becomes("--outbuf-high-watermark BYTES", "--response-spool"),
        Becomes("--inbuf-overflow BYTES", "--body-memory"),
        Becomes("--connection-limit N", "--max-connections"),
        Instead("--cleanup-interval S", note="not needed: connections are closed when it is time"),
        Becomes("--channel-timeout S", "--keep-alive"),
        Instead(
            "--log-socket-errors --no-log-socket-errors",
            note="not needed: a client that leaves is a line with status 499, and no error",
        ),
        Becomes("--max-request-header-size BYTES", "--max-head"),
        Becomes("--max-request-body-size BYTES", "--max-request-body"),
        Instead(
            "--expose-tracebacks --no-expose-tracebacks",
            note="use `portico dev`, which shows tracebacks in the browser",
        ),
        Instead("--asyncore-loop-timeout S", note=_LOOP),
        Instead("--asyncore-use-poll --no-asyncore-use-poll", note=_LOOP),
        Instead(
            "--channel-request-lookahead N",
            note="not needed: the application is told of a client that has left (docs/disconnect.md)",
        ),
    ),
)
