"""The settings of gunicorn 27, in the order of its page; those without an option are for its file only."""

from __future__ import annotations

from collections.abc import Callable

from portico.config.old_words.word import Becomes, Elsewhere, Instead, Same, Server

_DEV = "use `portico dev`, which reloads when a file changes"
_TLS = "TLS ends at a reverse proxy, for example that of `portico generate nginx`"
_HTTP_2 = "HTTP/2 ends at a reverse proxy, which speaks HTTP/1.1 with portico"
_ASGI = "for ASGI applications only; portico serves WSGI"
_TASKS = "leave long work to a task queue (Celery, RQ, Dramatiq)"
_SYSLOG = (
    "for the access log; the error log goes to standard error, which systemd's journal or `logger` takes on"
)
_LOGGING = (
    "`--logconfig` names what Python's logging is to be (docs/run/logs.md), with handlers and formatters of "
    "any class; the logger is `portico.error`"
)
_LOG_CONFIG = (
    "the logger is `portico.error`, and gets the handlers of `gunicorn.error` where there is none; access "
    "lines do not go through logging"
)
_PASTE = (
    'write a module with `application = paste.deploy.loadapp("config:/srv/shop.ini")`, and name it as APP'
)
_PROXY = "an option of the address: `-b 'HOST:PORT?proxy=required'`"
_STRICT = "such requests are rejected, always (docs/http.md)"
_BY_IMPORT = (
    "`post_fork` and `worker_ready` of a module that `--hooks` names (docs/operations.md), in the worker; "
    "`pre_fork` before it"
)
_BY_SYSTEMD = "`on_start`, `on_reload` and `on_exit` of a module that `--hooks` names (docs/operations.md)"
_BY_ATEXIT = "`worker_exit` of a module that `--hooks` names (docs/operations.md); in the worker, atexit"
_BY_MIDDLEWARE = "there is no such hook; a WSGI middleware runs before and after each request"


def _worker_class(value: str) -> list[str]:
    name = value.strip().lower().rpartition("#")[2].rpartition(".")[2]
    if name in ("sync", "syncworker"):
        return ["--threads", "1"]
    if name in ("gthread", "threadworker", "threads"):
        return []
    for worker in ("gevent", "tornado", "asyncio"):
        if name.startswith(worker):
            return ["--worker", worker]
    if "uvicorn" in value.lower() or "asgi" in name:
        raise Elsewhere(f"{value} is {_ASGI}")
    if name.startswith("eventlet"):
        raise Elsewhere(
            f"{value} is not there: `--worker gevent` is, and with threads, as many as `--threads` allows, "
            "nothing is patched"
        )
    raise Elsewhere(
        f"expected sync, gthread, gevent, tornado or asyncio, got {value}: a way to execute "
        "(docs/workers.md) is not made from a class"
    )


def _syslog_address(value: str) -> list[str]:
    """Make an address as `udp://localhost:514` or `unix:///dev/log#dgram` ours."""
    place, _, kind = value.strip().partition("#")
    if place.startswith("udp://"):
        return ["--access-log", f"syslog:{place}"]
    if place.startswith("unix://") and kind in ("", "dgram"):
        return ["--access-log", f"syslog:unix:{place.removeprefix('unix://')}"]
    raise Elsewhere(
        f"expected udp://HOST:PORT or unix://PATH, got {value}: a record is one datagram, which the daemon "
        "of this host may send on by TCP"
    )


def _statsd(value: str) -> list[str]:
    """Make the address of a receiver ours; names are as before, unless another prefix is given."""
    place = value.strip()
    if place.startswith("unix:"):
        return ["--statsd", place, "--statsd-prefix", "gunicorn"]
    host, colon, _ = place.rpartition(":")
    # As gunicorn has it, a port may be left out.
    has_port = colon and not (place.startswith("[") and place.endswith("]"))
    return ["--statsd", place if has_port and host else f"{place}:8125", "--statsd-prefix", "gunicorn"]


def _is_octal(value: str) -> bool:
    return bool(value) and set(value) <= set("01234567")


def _none_if(*same: str, otherwise: str) -> Callable[[str], list[str]]:
    """Return a `convert`: nothing has to be said for the values in `same`, `otherwise` is for any other."""

    def convert(value: str) -> list[str]:
        if value.strip().lower() in same:
            return []
        raise Elsewhere(otherwise)

    return convert


GUNICORN = Server(
    "gunicorn",
    (
        # Config file
        Same(
            "-c --config FILE",
            note="a TOML file ([configuration.md](configuration.md)); what a gunicorn.conf.py computes goes "
            "into the "
            "environment or to the command line",
        ),
        Instead("", key="wsgi_app", note="`app` in `[[app]]`"),
        # Debugging
        Instead("--reload", note=_DEV),
        Instead("--reload-engine NAME", note=_DEV),
        Instead("--reload-extra-file FILE", key="reload_extra_files", note=_DEV),
        Instead("--spew", note="set a trace function in the application; `threading.settrace` is honoured"),
        Instead("--check-config", note="use `portico check` with the same options"),
        Instead("--print-config", note="use `portico config` with the same options"),
        # Dirty arbiters
        Instead("--dirty-app APP", key="dirty_apps", note=_TASKS),
        Instead("--dirty-workers N", note=_TASKS),
        Instead("--dirty-timeout S", note=_TASKS),
        Instead("--dirty-threads N", note=_TASKS),
        Instead("--dirty-graceful-timeout S", note=_TASKS),
        Instead(
            "", key="on_dirty_starting, dirty_post_fork, dirty_worker_init, dirty_worker_exit", note=_TASKS
        ),
        # HTTP/2
        Becomes(
            "--http-protocols LIST",
            "",
            convert=_none_if("h1", otherwise=_HTTP_2),
            note=f"not needed for h1; {_HTTP_2}",
        ),
        Becomes(
            "--http2-cleartext MODE",
            "",
            convert=_none_if("off", otherwise=_HTTP_2),
            note=f"not needed for off; {_HTTP_2}",
        ),
        Instead("--http2-max-concurrent-streams N", note=_HTTP_2),
        Instead("--http2-initial-window-size N", note=_HTTP_2),
        Instead("--http2-max-frame-size N", note=_HTTP_2),
        Instead("--http2-max-header-list-size N", note=_HTTP_2),
        # Logging
        Becomes(
            "--access-logfile FILE", "--access-log", key="accesslog", note="the default is `-`, not none"
        ),
        Instead(
            "--disable-redirect-access-to-syslog",
            note="the access log is where `--access-log` says; nothing else goes to syslog",
        ),
        Becomes("--access-logformat FORMAT", "--access-log-format", key="access_log_format"),
        Becomes("--error-logfile --log-file FILE", "--error-log", key="errorlog"),
        Same("--log-level LEVEL", key="loglevel", note="`trace` is one more"),
        Instead(
            "--capture-output",
            note="not needed: what the application writes to standard error goes where the error log goes",
        ),
        Instead("--logger-class CLASS", note=_LOGGING),
        Becomes("--log-config FILE", "--logconfig", key="logconfig", note=_LOG_CONFIG),
        Instead("", key="logconfig_dict", note=f"the table `[logconfig]` of portico.toml; {_LOG_CONFIG}"),
        Becomes("--log-config-json FILE", "--logconfig", key="logconfig_json", note="its name ends in .json"),
        Becomes(
            "--log-syslog-to ADDRESS",
            "--access-log syslog:ADDRESS",
            convert=_syslog_address,
            key="syslog_addr",
            note=_SYSLOG,
        ),
        Becomes(
            "--log-syslog",
            "--access-log syslog",
            is_weak=True,
            key="syslog",
            meant=lambda value: not value,
            note=f"the daemon of this host (gunicorn: udp://localhost:514); {_SYSLOG}",
        ),
        Becomes("--log-syslog-prefix TEXT", "--syslog-tag", key="syslog_prefix"),
        Becomes("--log-syslog-facility NAME", "--syslog-facility", key="syslog_facility"),
        Instead(
            "-R --enable-stdio-inheritance",
            note="not needed: workers have portico's standard output and standard error",
        ),
        Becomes(
            "--statsd-host --statsd-socket ADDRESS",
            "--statsd",
            convert=_statsd,
            is_weak=True,
            note="with `--statsd-prefix gunicorn`, so that names go on, but for `request.status.200`, which "
            "is `request.status.2xx` ([run/statsd.md](run/statsd.md))",
        ),
        Becomes("--dogstatsd-tags TAGS", "--statsd-tags", note="labels are tags, too"),
        Same(
            "--statsd-prefix TEXT",
            note="it is all that stands before the name: `TEXT.gunicorn`, for names as before",
        ),
        Becomes(
            "--enable-backlog-metric",
            "",
            convert=lambda _: [],
            note="not needed: `backlog` is always sent, as a gauge",
        ),
        # Process naming
        Same("-n --name NAME", key="proc_name"),
        Instead("", key="default_proc_name", note="not needed: gunicorn's own"),
        # SSL
        Instead("--keyfile FILE", note=_TLS),
        Instead("--certfile FILE", note=_TLS),
        Instead("--ssl-version VERSION", note=_TLS),
        Instead("--cert-reqs MODE", note=_TLS),
        Instead("--ca-certs FILE", note=_TLS),
        Instead("--suppress-ragged-eofs", note=_TLS),
        Instead("--do-handshake-on-connect", note=_TLS),
        Instead("--ciphers LIST", note=_TLS),
        Instead("", key="ssl_context", note=_TLS),
        # Security
        Becomes(
            "--limit-request-line BYTES",
            "--max-request-line",
            note="without its CRLF, and never without a limit (gunicorn: 0)",
        ),
        Becomes("--limit-request-fields N", "--max-headers"),
        Becomes(
            "--limit-request-field_size --limit-request-field-size BYTES",
            "--max-header",
            note="never without a limit (gunicorn: 0)",
        ),
        # Server hooks
        Instead("", key="on_starting, on_reload, when_ready, on_exit, pre_exec", note=_BY_SYSTEMD),
        Instead("", key="pre_fork, post_fork, post_worker_init", note=_BY_IMPORT),
        Instead(
            "", key="worker_int, worker_abort, child_exit, worker_exit, nworkers_changed", note=_BY_ATEXIT
        ),
        Instead("", key="pre_request, post_request", note=_BY_MIDDLEWARE),
        # Server mechanics
        Same("--preload", key="preload_app", note="in a process of its own, so that a reload takes new code"),
        Instead(
            "--no-sendfile",
            key="sendfile",
            note="not needed: only `wsgi.file_wrapper` uses it, for plain files",
        ),
        Instead(
            "--reuse-port",
            note="not needed: workers share one socket, of which a reload loses no connection",
        ),
        Same("--chdir DIR"),
        Instead("-D --daemon", note="run it under systemd: `portico generate systemd` prints the units"),
        Same("-e --env NAME=VALUE", key="raw_env"),
        Becomes("-p --pid FILE", "--pid-file", key="pidfile", meant=lambda value: not value.isdecimal()),
        Instead("--worker-tmp-dir DIR", note="not needed: there is no heartbeat file"),
        Same("-u --user NAME", note="of the workers; the supervisor stays root"),
        Same("-g --group NAME"),
        Same("--umask MODE", note="the mode of a Unix socket is `-b 'unix:PATH?mode=660'`, too"),
        Becomes("-m MODE", "--umask", key="umask", meant=_is_octal),
        Becomes("--initgroups", "", note="not needed: groups are those of `--user`, or `--groups`"),
        Instead("", key="tmp_upload_dir", note="TMPDIR in the environment"),
        Instead(
            "",
            key="secure_scheme_headers",
            note="not needed: X-Forwarded-Proto and Forwarded of `--forwarded-allow-ips` say it",
        ),
        Same("--forwarded-allow-ips LIST", note="`unix` stands for Unix sockets"),
        Same("--pythonpath DIR", note="once for each directory, without commas"),
        Instead("--paste --paster FILE", note=_PASTE),
        Instead("--paste-global NAME=VALUE", key="raw_paste_global_conf", note=_PASTE),
        Becomes(
            "--proxy-protocol [MODE]",
            "",
            convert=_none_if("off", "false", "none", "0", otherwise=_PROXY),
            note=f"not needed for off; otherwise {_PROXY}",
        ),
        Same("--proxy-allow-from LIST", key="proxy_allow_ips", note="`unix` stands for Unix sockets"),
        Becomes(
            "--protocol NAME",
            "",
            convert=_none_if("http", otherwise="the address says it: `-b uwsgi://HOST:PORT`"),
            note="not needed for http; otherwise the address says it: `-b uwsgi://HOST:PORT`",
        ),
        Same("--uwsgi-allow-from LIST", key="uwsgi_allow_ips", note="`unix` stands for Unix sockets"),
        Instead("--permit-obsolete-folding", note=_STRICT),
        Instead("--strip-header-spaces", note=_STRICT),
        Instead("--permit-unconventional-http-method", note="not needed: any token is a method"),
        Instead("--permit-unconventional-http-version", note=_STRICT),
        Instead("--casefold-http-method", note="the case of a method matters (RFC 9110 9.1)"),
        Instead(
            "--forwarder-headers LIST",
            note="X-Forwarded-Prefix of `--forwarded-allow-ips` becomes SCRIPT_NAME; over uwsgi, FastCGI "
            "and SCGI the "
            "reverse proxy sets any variable",
        ),
        Becomes(
            "--header-map MODE",
            "",
            convert=_none_if("drop", otherwise="names with an underscore are dropped, always (docs/http.md)"),
            note="not needed for drop: names with an underscore are dropped, always",
        ),
        Instead("--root-path PATH", note=f"{_ASGI}; `--script-name` says where an application is mounted"),
        # Server socket
        Same("-b --bind ADDRESS"),
        Same("--backlog N"),
        # Worker processes
        Same("-w --workers N", note="WEB_CONCURRENCY too; the default is one for each CPU, not 1"),
        Becomes(
            "-k --worker-class CLASS",
            "--worker",
            convert=_worker_class,
            is_weak=True,
            note="for gevent and tornado; sync is `--threads 1`, unless there is `--threads`; gthread needs "
            "no word: threads are started when calls block; there are no other classes",
        ),
        Same("--threads N", note="the default is 8, not 1"),
        Becomes("--worker-connections N", "--max-connections"),
        Same("--max-requests N", note="the successor is ready before the worker takes no more"),
        Same("--max-requests-jitter N"),
        Same(
            "-t --timeout S",
            note="of each call of the application, not of a worker's heartbeat",
        ),
        Same("--graceful-timeout S"),
        Same("--keep-alive S", key="keepalive"),
        Instead("--asgi-loop NAME", note=_ASGI),
        Instead("--asgi-lifespan MODE", note=_ASGI),
        Instead("--asgi-disconnect-grace-period S", note=_ASGI),
        Instead("--websocket-max-message-size BYTES", note=_ASGI),
        Instead("--http-parser NAME", note="not needed: there is one, and it is compiled"),
        # Control
        Becomes("--control-socket PATH", "--control", note="for `portico ctl` (docs/operations.md)"),
        Instead("--control-socket-mode MODE", note="not needed: it is for the server's own user and root"),
        Becomes("--no-control-socket", "--control off", key="control_socket_disable"),
        # On the command line only
        Instead("-v --version", note="use `portico --version`", meant=lambda value: not value),
    ),
)
