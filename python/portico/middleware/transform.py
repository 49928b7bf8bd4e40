"""`Transform`: status, headers and body of what an application returns, changed by callables.

Receives each block as the application gives it and hands it on before it asks for the next one: no body is
kept whole. What a head says of a body (length, ETag, digests) stays true. Runs on the thread of the call.
"""

from __future__ import annotations

from portico.middleware.changed_text import change_of_text
from portico.middleware.response_head import ResponseHead as ResponseHead

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from portico.middleware.changed_text import BodyChange, TextChange
    from portico.types import Environ, ExcInfo, StartResponse, WSGIApplication

_NOT_MODIFIED = 304
_LEFT_ALONE = frozenset({204, 205, 206, _NOT_MODIFIED})
"""Without a body, or with a part of one, whose places in the whole would not be true any more."""
_TRUE_OF_THE_OLD_BODY = (
    "Content-Length",
    "Accept-Ranges",
    "Content-MD5",
    "Digest",
    "Content-Digest",
    "Repr-Digest",
)
"""What is said of the body by its bytes (RFC 9110 8.6, 14.3; RFC 9530)."""


class Transform:
    """Change the responses of an application.

    * `headers(head)` is called with each `ResponseHead` and changes it in place.
    * `body(head)` returns None, or what changes the body of this response: a callable that takes a block and
      whether it is the last one (then it is empty), and returns what is to be sent in its place, perhaps
      nothing. It is called for each response, so what it returns can remember what it has seen.
    * `text(head)` is the same for text instead of bytes: it is asked for textual types (`text/*`, JSON, XML,
      JavaScript) without a Content-Encoding. Text comes in the charset that the Content-Type names, else in
      UTF-8; bytes that are none of it pass unchanged.

    A body that is changed loses its Content-Length, or has a new one where the application has returned a
    list or a tuple; its ETag becomes a weak one (RFC 9110 8.8.1), and digests of it go. Responses to HEAD
    have the head that those to GET have. The body of a 204, 205, 206 or 304 is left alone.

    Raises ValueError if there is nothing to do, or both `body` and `text`.

        def shout(head):
            return lambda text, is_last: text.upper()

        application = Transform(application, text=shout)
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        headers: Callable[[ResponseHead], object] | None = None,
        body: Callable[[ResponseHead], BodyChange | None] | None = None,
        text: Callable[[ResponseHead], TextChange | None] | None = None,
    ) -> None:
        if headers is None and body is None and text is None:
            raise ValueError("expected headers, body or text to change, got none of them")
        if body is not None and text is not None:
            raise ValueError("expected body or text to change, got both: put one Transform around the other")
        self.app = app
        self._change_headers = headers
        self._change_of_body = body
        self._change_of_text = text

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        response = _Response(self, environ, start_response)
        result = self.app(environ, response.start)
        try:
            return response.body(result)
        except BaseException:
            _close(result)
            raise

    def change_of(self, head: ResponseHead) -> BodyChange | None:
        """Change `head`, and return what changes the body, or None."""
        if self._change_headers is not None:
            self._change_headers(head)
        if head.code in _LEFT_ALONE or not (self._change_of_body or self._change_of_text):
            if head.code == _NOT_MODIFIED and (self._change_of_body or self._change_of_text):
                # What is stored may have a weak one; a weak one fits both (RFC 9111 4.3.4).
                _weaken(head)
            return None
        if self._change_of_body is not None:
            change = self._change_of_body(head)
        else:
            assert self._change_of_text is not None
            change = change_of_text(head, self._change_of_text)
        if change is None:
            return None
        head.remove(*_TRUE_OF_THE_OLD_BODY)
        _weaken(head)
        return change


def _left_out(block: bytes, is_last: bool) -> bytes:
    """The change of a body that is not sent."""
    return b""


def _weaken(head: ResponseHead) -> None:
    """Have a weak ETag: the bytes are others, what they mean is the same (RFC 9110 8.8.1)."""
    tag = head.get("ETag")
    if tag is None or tag.startswith("W/"):
        return
    if tag.startswith('"') and tag.endswith('"') and len(tag) > 1:
        head.set("ETag", f"W/{tag}")
    else:
        head.remove("ETag")


class _Response:
    """One response on its way: the head is held back while a new length may still be found out."""

    def __init__(self, transform: Transform, environ: Environ, start_response: StartResponse) -> None:
        self._transform = transform
        self._environ = environ
        self._start_response = start_response
        self._head: ResponseHead | None = None
        self._change: BodyChange | None = None
        self._write: Callable[[bytes], object] | None = None
        self._may_hold = True
        self.is_to_head = environ.get("REQUEST_METHOD") == "HEAD"

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """`start_response` for the application."""
        try:
            if self._head is not None and not exc_info:
                raise AssertionError("start_response was called a second time without exc_info")
            head = ResponseHead(self._environ, status, list(headers))
            change = self._transform.change_of(head)
            if change is None or not self._may_hold or self._write is not None:
                # Raises exc_info if bytes have left.
                self._write = self._start_response(
                    head.status, head.headers, *([exc_info] if exc_info else [])
                )
            self._head, self._change = head, change
            return self.write
        finally:
            exc_info = None  # PEP 3333 "Error Handling": no circle of frames

    def write(self, block: bytes) -> None:
        """`write` for the application."""
        self._may_hold = False
        write = self._sent_head()
        if changed := self.changed(block):
            write(changed)

    def body(self, result: Iterable[bytes]) -> Iterable[bytes]:
        """Return what the server is to send of `result`."""
        self._may_hold = False
        if self._head is None:
            # start_response is called with the first block.
            return _Blocks(self, result)
        if self._change is None:
            # A file is sent as one, a list has a known length.
            return result
        # A response to HEAD is none of the whole body if the application has left it out.
        if self._write is None and isinstance(result, list | tuple) and (any(result) or not self.is_to_head):
            whole = b"".join([*map(self.changed, result), self.last()])
            self._head.set("Content-Length", str(len(whole)))
            if not self.is_to_head:
                self._sent_head()
                return [whole]
        self._sent_head()
        if self.is_to_head:
            self._change = _left_out
        return _Blocks(self, result)

    def changed(self, block: bytes) -> bytes:
        """Return what is sent in place of `block`."""
        if self._change is None:
            return block
        if not isinstance(block, bytes):
            raise TypeError(f"a block of the body: expected bytes, got {type(block).__name__}")
        return self._change(block, False)

    def last(self) -> bytes:
        """Return what is sent after all blocks."""
        return b"" if self._change is None else self._change(b"", True)

    def _sent_head(self) -> Callable[[bytes], object]:
        if self._write is None:
            assert self._head is not None
            self._write = self._start_response(self._head.status, self._head.headers)
        return self._write


class _Blocks:
    """The changed blocks of a body, each as soon as the application has given it."""

    def __init__(self, response: _Response, result: Iterable[bytes]) -> None:
        self._response = response
        self._result = result
        self._iterator: Iterator[bytes] | None = None
        self._is_over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._is_over:
            raise StopIteration
        if self._iterator is None:
            self._iterator = iter(self._result)
        try:
            block = next(self._iterator)
        except StopIteration:
            self._is_over = True
            last = self._response.last()
            # Servers take what has no block at all for an empty body, also where none was to be sent.
            if last or self._response.is_to_head:
                return last
            raise
        return self._response.changed(block)

    def close(self) -> None:
        """Close what the application has returned."""
        _close(self._result)


def _close(result: object) -> None:
    if close := getattr(result, "close", None):
        close()
