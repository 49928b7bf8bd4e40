"""Checks of WSGI in both directions, told as warnings: what the server hands over, and what the application
does.

Receives a request from a server, hands it on to the application and what that gives back to the server, each
thing as it came and when it came: one block is asked of the application for each that the server asks, and
`close()` is passed on first of all. Runs in the calling thread. The rules stand in `lint_rules.py`; nothing
is raised, unless the warnings are made errors (`python -W error`).
"""

from __future__ import annotations

import sys
from warnings import warn
from wsgiref.util import FileWrapper

from portico.middleware.lint_rules import HTTPWarning as HTTPWarning
from portico.middleware.lint_rules import (
    WSGIWarning,
    code_of,
    environ_faults,
    head_faults,
    header_faults,
    readable,
    response_faults,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType
    from typing import Any

    from portico.middleware.lint_rules import Fault
    from portico.types import Environ, StartResponse, Write, WSGIApplication

_HERE = sys._getframe().f_code.co_filename


class LintMiddleware:
    """Call `app`, and warn of what the server or the application does against WSGI or HTTP.

    A warning is a `WSGIWarning` or an `HTTPWarning`, at the line of the application or the server that did
    it. To see each one use `python -W always`. What is wrong of the server: an environ that lacks something,
    or has it in the wrong type. Of the application: a status or headers that are none, strings where bytes
    belong, bodies where there are none, another length than Content-Length says, no `start_response`,
    `wsgi.input` read without a size or closed. Of either: an iterable that is not closed. As Werkzeug's,
    which knows fewer mistakes.

        application = LintMiddleware(application)
    """

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, *args: Any, **kwargs: Any) -> Iterable[bytes]:
        """Call the application between two sets of checks; takes an environ and a `start_response`."""
        if len(args) != 2 or kwargs:
            _warn(WSGIWarning, "A WSGI application takes two positional arguments.")
        environ: Environ
        start_response: StartResponse
        environ, start_response = args[:2]
        self.check_environ(environ)
        response = _Response(environ.get("REQUEST_METHOD", ""))
        if "wsgi.input" in environ:
            environ["wsgi.input"] = InputStream(environ["wsgi.input"])
        if "wsgi.errors" in environ:
            environ["wsgi.errors"] = ErrorStream(environ["wsgi.errors"])
        # The server's own is read by the server, where nobody counts the bytes.
        environ["wsgi.file_wrapper"] = FileWrapper

        def checking_start_response(*args: Any, **kwargs: Any) -> Write:
            if len(args) not in (2, 3) or kwargs:
                _warn(WSGIWarning, "start_response takes two or three positional arguments.")
            if len(args) > 1:
                self._start(response, args[0], args[1], args[2] if len(args) > 2 else kwargs.get("exc_info"))
            write: object = start_response(*args, **kwargs)
            if not callable(write):
                _warn(WSGIWarning, "The server's start_response did not return a callable to write with.")
            return GuardedWrite(write, response)

        result = self.app(environ, checking_start_response)
        self.check_iterator(result)
        return GuardedIterator(result, response)

    def _start(self, response: _Response, status: Any, headers: Any, exc_info: Any) -> None:
        if response.is_started and exc_info is None:
            _warn(WSGIWarning, "start_response was called again without exc_info.")
        response.start(*self.check_start_response(status, headers, exc_info))

    def check_environ(self, environ: Environ) -> None:
        """Warn of what the server has done wrong in the environ."""
        _warn_of(environ_faults(environ))

    def check_start_response(self, status: Any, headers: Any, exc_info: Any) -> tuple[int, dict[str, str]]:
        """Warn of a wrong call of `start_response`; return the status code and the headers, in lower case."""
        _warn_of(head_faults(status, headers, exc_info))
        found = readable(headers)
        self.check_headers(found)
        return code_of(status), found

    def check_headers(self, headers: dict[str, str]) -> None:
        """Warn of headers that HTTP has something against."""
        _warn_of(header_faults(headers))

    def check_iterator(self, app_iter: object) -> None:
        """Warn of a result that no blocks come out of."""
        if isinstance(app_iter, str | bytes):
            kind = "string" if isinstance(app_iter, str) else "bytes object"
            _warn(
                WSGIWarning,
                f"The application returned a {kind}, not a list of blocks: it is sent one by one.",
            )
        elif not hasattr(app_iter, "__iter__") and not hasattr(app_iter, "__getitem__"):
            _warn(WSGIWarning, f"The application returned what is not iterable: {app_iter!r}")


Lint = LintMiddleware


class InputStream:
    """`wsgi.input` as the server gives it, with warnings (PEP 3333 "Input and Error Streams")."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, *args: Any) -> bytes:
        """Read as many bytes as `args` say; without a size, a server may wait for the end of the
        connection."""
        if not args:
            _warn(
                WSGIWarning, "wsgi.input.read() without a size may not return; ask for CONTENT_LENGTH bytes."
            )
        elif len(args) > 1:
            _warn(WSGIWarning, "wsgi.input.read() takes one size.")
        return self._checked("read()", self._stream.read(*args), *args)

    def readline(self, *args: Any) -> bytes:
        """Read a line; it may be of any length, and not every server takes a size."""
        if not args:
            _warn(WSGIWarning, "wsgi.input.readline() without a size is as long as the client likes.")
        else:
            _warn(WSGIWarning, "wsgi.input.readline() with a size does not work on every server.")
        return self._checked("readline()", self._stream.readline(*args), *args)

    def readlines(self, *args: Any) -> list[bytes]:
        """Read lines, as many as the hint says."""
        lines: list[bytes] = self._stream.readlines(*args)
        return [self._checked("readlines()", line) for line in lines]

    def __iter__(self) -> Iterator[bytes]:
        try:
            return iter(self._stream)
        except TypeError:
            _warn(WSGIWarning, "wsgi.input of this server is not iterable.")
            return iter(())

    def close(self) -> None:
        """Close it, which is the server's business."""
        _warn(WSGIWarning, "The application closed wsgi.input.")
        self._stream.close()

    def _checked(self, method: str, data: bytes, size: Any = None) -> bytes:
        if type(data) is not bytes:
            _warn(WSGIWarning, f"wsgi.input.{method} of this server returned no bytes: {data!r:.60}")
        elif isinstance(size, int) and 0 <= size < len(data):
            _warn(
                WSGIWarning,
                f"wsgi.input.{method} of this server returned more than {size} bytes: {len(data)}",
            )
        return data


class ErrorStream:
    """`wsgi.errors` as the server gives it, with warnings (PEP 3333 "Input and Error Streams")."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write a text, which has to be a str."""
        if type(text) is not str:
            _warn(WSGIWarning, f"wsgi.errors.write() takes a str: {text!r:.60}")
        self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of these."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush."""
        self._stream.flush()

    def close(self) -> None:
        """Close it, which is the server's business."""
        _warn(WSGIWarning, "The application closed wsgi.errors.")
        self._stream.close()


class _Response:
    """What the application has done so far about one response."""

    __slots__ = ("code", "headers", "is_started", "method", "sent_bytes")

    def __init__(self, method: str) -> None:
        self.method = method
        self.is_started = False
        self.code = 0
        self.headers: dict[str, str] = {}
        self.sent_bytes = 0

    def start(self, code: int, headers: dict[str, str]) -> None:
        """Keep the head; a later one takes its place, as the server has it."""
        self.is_started = True
        self.code, self.headers = code, headers

    def count(self, where: str, block: Any) -> None:
        """Add a block to what was sent."""
        if type(block) is not bytes:
            _warn(WSGIWarning, f"{where} has to be bytes: {block!r:.60}")
        if hasattr(block, "__len__"):
            self.sent_bytes += len(block)

    def faults(self, *, is_whole: bool) -> Iterable[Fault]:
        """What is wrong with it at its end."""
        if not self.is_started:
            return ()
        return response_faults(self.method, self.code, self.headers, self.sent_bytes, is_whole)


class GuardedWrite:
    """The `write` of a server, counted (PEP 3333 "The write() Callable")."""

    def __init__(self, write: Any, response: _Response) -> None:
        self._write = write
        self._response = response

    def __call__(self, block: bytes) -> None:
        self._response.count("What is given to write()", block)
        self._write(block)


class GuardedIterator:
    """The result of an application, checked block by block and at its end."""

    def __init__(self, result: Iterable[bytes], response: _Response) -> None:
        self._result = result
        self._response = response
        self._blocks: Iterator[bytes] | None = None
        self._is_whole = False
        self.closed = False

    def __iter__(self) -> GuardedIterator:
        return self

    def __next__(self) -> bytes:
        if self.closed:
            _warn(WSGIWarning, "The server asked for a block after close().")
        if self._blocks is None:
            self._blocks = iter(self._result)
        try:
            block = next(self._blocks)
        except StopIteration:
            self._is_whole = True
            if not self._response.is_started:
                _warn(WSGIWarning, "The application returned without a call of start_response.")
            raise
        if not self._response.is_started:
            _warn(WSGIWarning, "The application gave a block before it called start_response.")
        self._response.count("A block of the body", block)
        return block

    def close(self) -> None:
        """Close the application's result, then look at the response as a whole."""
        if self.closed:
            _warn(WSGIWarning, "The server called close() again.")
            return
        self.closed = True
        if hasattr(self._result, "close"):
            self._result.close()
        _warn_of(self._response.faults(is_whole=self._is_whole))

    def __del__(self) -> None:
        if not self.closed:
            try:  # noqa: SIM105 - contextlib may be gone when the interpreter ends
                _warn(WSGIWarning, "The result of the application was garbage collected and not closed.")
            except Exception:
                pass  # an error in __del__ reaches nobody


def _warn_of(faults: Iterable[Fault]) -> None:
    for category, message in faults:
        _warn(category, message)


def _warn(category: type[Warning], message: str) -> None:
    """Warn where somebody else's code has called into this file: at a line of the application, or of the
    server."""
    frame: FrameType = sys._getframe()
    level = 1
    # A server that is not written in Python has no frame: then the outermost one of ours stays.
    while frame.f_code.co_filename == _HERE and frame.f_back is not None:
        frame = frame.f_back
        level += 1
    warn(message, category, stacklevel=level)
