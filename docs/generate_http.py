"""Prints docs/http.md from tests/corpus/http1; `make docs` writes it, a test keeps it true.

Each file of the corpus names the rule it belongs to, and its own name begins with the section that the rule
comes from. So a rule is in the table if and only if something tests it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "tests" / "corpus" / "http1"

HEAD = """# HTTP/1: what is accepted and what is rejected

Generated from `tests/corpus/http1` by `make docs`: each rule below is the rule of some files there, raw
bytes with what has to become of them. They are replayed in the parser, whole, byte by byte and split
at random, and over real sockets.

A request is read line by line, in the order its bytes come in, and the first rule it breaks decides. So
the response never depends on how its bytes are split into packets, nor on what comes after the mistake.
The error response says `Connection: close`, the connection is closed, and nothing that follows is read
as a request: where it would begin is no longer known. The application sees nothing of a rejected
request.

Two servers in a row, one in front of the other, are safe only as long as both see the same requests.
Wherever the RFCs let a server repair or guess, portico therefore rejects. Where they leave a choice, this
is decided:

* **Targets** (RFC 9112 3.2). A space, a control byte, `#` and every byte above 126 are rejected, never
  repaired. The printable rest is accepted, also `"<>[]\\^{|}` and the backquote, which RFC 3986 would have
  escaped: browsers send them, and they delimit nothing. Escapes in a path are decoded once, also `%2F`,
  `%00` and bytes that are not UTF-8, as PEP 3333 has it; what is no escape, such as `%zz`, stays as it is.
  Dot segments and repeated slashes are not resolved. An application that opens files by such paths has to
  check them.
* **Absolute form** (RFC 9112 3.2.2). `http://host/path` is accepted, and its host goes before the Host field,
  which has to be there and valid all the same. `https://` is misdirected (421) on a connection that is not
  TLS, unless a trusted reverse proxy says that the client's was. User names, empty hosts and other schemes
  are rejected.
* **CONNECT and TRACE** (RFC 9110 9.3.6, 9.3.8) get a 405: an origin server has no tunnel, and
  TRACE would give scripts the headers that are hidden from them. All other tokens are methods for the
  application.
* **HTTP/1.2** to HTTP/1.9 are taken as HTTP/1.1 (RFC 9110 2.5). Other majors, HTTP/0.9 and the preface of
  HTTP/2 get a 505, and what is not spelled like a version (RFC 9112 2.3: a digit, a dot, a digit) a 400,
  `HTTP/1.10` and `http/1.1` too.
* **Line ends** (RFC 9112 2.2) are CRLF. The RFC would let a bare LF pass; here it is rejected in heads,
  chunks and trailers, because not every server takes it for a line end. So are a bare CR and folded lines.
* **Empty lines before a request** (RFC 9112 2.2): up to two are skipped, since old clients send one after a
  body. A third is rejected.
* **Bytes above 127 in field values** (`obs-text`, RFC 9110 5.5) are accepted and reach the application as
  Latin-1, as PEP 3333 asks. In names, targets and Host they are rejected.
* **Host** (RFC 9110 7.2) may be empty, as the health checks of load balancers have it, but not missing in
  HTTP/1.1, nor repeated, nor anything but a name or an address and a port.
* **Content-Length** (RFC 9110 8.6) may not be repeated, even with equal values, and together with
  Transfer-Encoding it is rejected in either order. Transfer-Encoding is `chunked`, once, and only from
  HTTP/1.1.
* **Without length and coding** (RFC 9112 6.3) a request has no body, whatever its method and its version.
  RFC 1945 8.3 wants a length with each POST of HTTP/1.0, but nginx sends none where there is no body.
* **Chunk extensions** (RFC 9112 7.1.1) are held against their grammar and skipped. Their bound is for all
  chunks of a body together, so that a body cannot be made of them. A chunk size has at most 16 digits,
  zeros among them.
* **Trailers** (RFC 9110 6.5.1) are read, checked like fields, and dropped: they never become headers of the
  request. Those that would frame or route it, or are about the connection, are rejected.
* **Chunked bodies** (RFC 9112 7.1) are decoded before the application is called, and have a CONTENT_LENGTH
  like others. One larger than `body_spool` is streamed: it has none, but `HTTP_TRANSFER_ENCODING: chunked`,
  by which some frameworks know that there is a body. Those that go by CONTENT_LENGTH alone, such as Django,
  take it for empty; a warning tells of the first one.
* **Field names with an underscore** and **Proxy** are dropped: in environ, `X_Real_IP` could not be told
  from `X-Real-IP`, and `HTTP_PROXY` is what many programs take for their own proxy setting (over uwsgi,
  FastCGI and SCGI it is dropped by this name). Forwarded headers are honoured from `forwarded_allow_ips`
  only. The error log tells of each name that was dropped, once, at level info, up to 64 names.

The bounds named here are the defaults; see [settings](settings.md).

| rule | what is done | section | tests |
|---|---|---|---|
"""

_NAME = re.compile(r"rfc([0-9]+)_([0-9]+(?:-[0-9]+)*)_([a-z0-9-]+)_([0-9]{2,})")
# The RFCs of HTTP itself come first.
_RFCS = ["9112", "9110"]


@dataclass(frozen=True)
class Entry:
    """One file of the corpus."""

    rule: str
    status: str
    rfc: str
    section: str
    stem: str
    number: str

    @property
    def order(self) -> tuple[int, int, list[int], str]:
        """Where its rule stands in the table."""
        rank = _RFCS.index(self.rfc) if self.rfc in _RFCS else len(_RFCS)
        return rank, int(self.rfc), [int(part) for part in self.section.split(".")], self.stem


def read_entries() -> Iterator[Entry]:
    """Every file of the corpus; ValueError if its name or its expectation lacks something."""
    for path in sorted(CORPUS.glob("*/*.expect")):
        name = _NAME.fullmatch(path.stem)
        expectation = dict(line.split(": ", 1) for line in path.read_text().splitlines() if ": " in line)
        if name is None or "rule" not in expectation:
            raise ValueError(f"{path} is not named rfcNNNN_SECTION_TOPIC_NN, or has no rule")
        # Only what is rejected has a status.
        status = expectation.get("status", "")
        if bool(status) != (path.parent.name == "invalid"):
            raise ValueError(f"{path} is in the wrong folder")
        rfc, section, _, number = name.groups()
        stem = path.stem.rpartition("_")[0]
        yield Entry(expectation["rule"], status, rfc, section.replace("-", "."), stem, number)


def http_page() -> str:
    """Return the page as Markdown."""
    rules: dict[str, list[Entry]] = {}
    for entry in sorted(read_entries(), key=lambda entry: (*entry.order, entry.number)):
        rules.setdefault(entry.rule, []).append(entry)
    return HEAD + "".join(_row(rule, entries) for rule, entries in rules.items())


def _row(rule: str, entries: list[Entry]) -> str:
    statuses = " or ".join(sorted({entry.status for entry in entries}))
    done = f"rejected with {statuses}" if statuses else "accepted"
    sections = ", ".join(dict.fromkeys(_link(entry) for entry in entries))
    stems = dict.fromkeys(entry.stem for entry in entries)
    tests = ", ".join(
        _range(stem, [entry.number for entry in entries if entry.stem == stem]) for stem in stems
    )
    return f"| {rule.replace('|', chr(92) + '|')} | {done} | {sections} | {tests} |\n"


def _link(entry: Entry) -> str:
    url = f"https://www.rfc-editor.org/rfc/rfc{entry.rfc}#section-{entry.section}"
    return f"[RFC {entry.rfc} {entry.section}]({url})"


def _range(stem: str, numbers: Iterable[str]) -> str:
    first, *others = sorted(numbers)
    return f"`{stem}_{first}..{others[-1]}`" if others else f"`{stem}_{first}`"


if __name__ == "__main__":
    print(http_page(), end="")
