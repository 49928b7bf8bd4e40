"""A page that shows an exception: where it was raised, with the lines around; a WSGI application.

Runs in a worker: in the place of an application that cannot be loaded, and as the response to a request whose
call raises. HTML for who accepts it, else plain text. It is made when the exception is there, so that the
lines are those that ran. Nothing on it runs, here or in the browser; the variables of the frames are left out
unless asked for, because they may be secret.
"""

from __future__ import annotations

import html
import linecache
import os
import traceback

from portico.dev.page_style import STYLE
from portico.process.tracebacks import application_trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from portico.types import Environ, ExcInfo, StartResponse

_LINES_AROUND = 5
_LONGEST_VALUE = 400
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_STATUS = "500 Internal Server Error"
_HEADERS = [
    ("Cache-Control", "no-store"),
    # No script, no picture, nothing from elsewhere.
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("X-Content-Type-Options", "nosniff"),
]


class ErrorPage:
    """A response to every request: `text`, and the same as the HTML document `document`."""

    def __init__(self, text: str, document: str) -> None:
        self.text = text
        self._plain = _encoded(text + "\n")
        self._document = _encoded(document)

    def __call__(
        self, environ: Environ, start_response: StartResponse, exc_info: ExcInfo | None = None
    ) -> Iterable[bytes]:
        """Respond. `exc_info` replaces a response that was begun and has not left (PEP 3333)."""
        if accepts_html(environ.get("HTTP_ACCEPT", "")):
            kind, body = "text/html", self._document
        else:
            kind, body = "text/plain", self._plain
        headers = [
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Vary", "Accept"),
            *_HEADERS,
        ]
        start_response(_STATUS, headers, exc_info)
        return [body]


def page_of_text(heading: str, text: str) -> ErrorPage:
    """Return a page on something that is no exception; `heading` is what has failed."""
    body = f"<header><p>{html.escape(heading)}</p></header><pre>{html.escape(text)}</pre>"
    return ErrorPage(f"{heading}\n{text}", _document(heading, body))


def page_of_exception(heading: str, error: BaseException, *, shows_locals: bool) -> ErrorPage:
    """Return a page on `error`; `heading` is what has failed, `shows_locals` adds each frame's variables."""
    linecache.checkcache()
    text = "".join(traceback.format_exception(type(error), error, application_trace(error))).rstrip("\n")
    summary = _summary(error)
    parts = [f"<header><p>{html.escape(heading)}</p><h1>{html.escape(summary)}</h1></header>"]
    for one, relation in _chain(error):
        parts.append(f"<section>{_exception(one, shows_locals=shows_locals)}</section>")
        if relation:
            parts.append(f"<p class=relation>{relation}</p>")
    parts.append(f"<details><summary>As text</summary><pre>{html.escape(text)}</pre></details>")
    return ErrorPage(f"{heading}\n{text}", _document(summary, "\n".join(parts)))


def accepts_html(accept: str) -> bool:
    """Say whether an Accept header (RFC 9110 12.5.1) names HTML, as a browser's does for a page.

    `*/*` does not: that is what a script or a command-line client sends.
    """
    for entry in accept.lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        if name in ("text/html", "application/xhtml+xml"):
            weights = [part.removeprefix("q=") for part in parameters if part.startswith("q=")]
            return not weights or any(digit in "123456789" for digit in weights[0])
    return False


def _document(title: str, body: str) -> str:
    return (
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n"
        '<meta name=viewport content="width=device-width">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n{body}\n"
        "<footer>portico dev: save a file to try again, then reload this page.</footer>\n"
    )


def _encoded(text: str) -> bytes:
    # Undecodable bytes of file names (PEP 383) have no UTF-8.
    return text.encode("utf-8", "backslashreplace")


def _summary(error: BaseException) -> str:
    return traceback.format_exception_only(type(error), error)[-1].strip()


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    """Return the exceptions that led to `error`, the first one first, each with how the next one follows."""
    found: list[tuple[BaseException, str]] = []
    seen: set[int] = set()
    one: BaseException | None = error
    relation = ""
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        found.append((one, relation))
        if one.__cause__ is not None:
            one, relation = one.__cause__, "That was the cause of:"
        else:
            one = None if one.__suppress_context__ else one.__context__
            relation = "While that was handled:"
    return reversed(found)


def _exception(error: BaseException, *, shows_locals: bool) -> str:
    parts = [f"<h2>{html.escape(_summary(error))}</h2>"]
    if notes := getattr(error, "__notes__", None):
        parts.append(f"<pre>{html.escape(chr(10).join(map(str, notes)))}</pre>")
    frames = list(_frames(application_trace(error)))
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        parts.append(_frame(error.filename, error.lineno, "", is_open=True, variables=""))
    for index, (trace, line) in enumerate(reversed(frames)):
        code = trace.tb_frame.f_code
        variables = _variables(trace.tb_frame.f_locals) if shows_locals else ""
        is_open = index == 0 or not _is_of_others(code.co_filename)
        parts.append(_frame(code.co_filename, line, code.co_name, is_open=is_open, variables=variables))
    return "\n".join(parts)


def _frames(trace: TracebackType | None) -> Iterator[tuple[TracebackType, int]]:
    while trace is not None:
        yield trace, trace.tb_lineno or trace.tb_frame.f_code.co_firstlineno
        trace = trace.tb_next


def _frame(path: str, line: int, function: str, *, is_open: bool, variables: str) -> str:
    place = f"<b>{html.escape(path)}</b>:{line}"
    if function:
        place += f" in <code>{html.escape(function)}</code>"
    opened = " open" if is_open else ""
    return f"<details{opened}><summary>{place}</summary>{_excerpt(path, line)}{variables}</details>"


def _excerpt(path: str, line: int) -> str:
    lines = []
    for number in range(max(1, line - _LINES_AROUND), line + _LINES_AROUND + 1):
        source = linecache.getline(path, number)
        if source:
            tag = "mark" if number == line else "span"
            lines.append(f"<{tag}><i>{number:5}</i> {html.escape(source.rstrip())}</{tag}>")
    return f"<pre>{chr(10).join(lines)}</pre>" if lines else ""


def _variables(variables: dict[str, object]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}<td><code>{html.escape(_shown(value))}</code>"
        for name, value in sorted(variables.items())
        if not (name.startswith("__") and name.endswith("__"))
    )
    return f"<details><summary>Variables</summary><table>{rows}</table></details>" if rows else ""


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception as error:
        return f"<its repr() raises {type(error).__name__}>"
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."


def _is_of_others(path: str) -> bool:
    return path.startswith((_STANDARD_LIBRARY, "<")) or any(part in path for part in _INSTALLED)
