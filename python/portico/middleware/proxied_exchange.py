"""One request passed on to one upstream, and its response passed back, both block by block.

Receives a `ProxiedRequest` and an upstream; is itself the iterable that a WSGI server sends. Runs on the
thread that calls the application; only `ClientWatch` is called from another one. No body is ever kept whole.
"""

from __future__ import annotations

import threading
from http.client import HTTPException

from portico.middleware.proxied_body import RequestBody
from portico.middleware.proxied_head import (
    client_host,
    request_headers,
    response_headers,
    status_line,
    target,
)
from portico.middleware.upstreams import FinalResponse

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping
    from http.client import HTTPConnection, HTTPResponse
    from typing import Any

    from portico.middleware.upstreams import Upstream, Upstreams
    from portico.types import Environ, StartResponse

AUTO_HOST = "<auto>"
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be repeated (RFC 9110 9.2.2)."""
_SWITCHING_PROTOCOLS = 101


class Failure(Exception):
    """There is no response that could be passed on.

    `status` and `sentence` are for the client; `detail`, which may name upstreams, for `wsgi.errors`.
    `is_dead`: the upstream is, as far as one can see; `may_repeat`: another one may be asked.
    """

    def __init__(
        self, status: str, sentence: str, *, detail: str = "", is_dead: bool = False, may_repeat: bool = False
    ) -> None:
        super().__init__(detail or sentence)
        self.status = status
        self.sentence = sentence
        self.detail = detail
        self.is_dead = is_dead
        self.may_repeat = may_repeat


class ClientWatch:
    """Ends the connection to the upstream when the client leaves, where the server can tell of that."""

    def __init__(self, environ: Environ) -> None:
        self.has_left = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        # Portico's (docs/disconnect.md). Elsewhere a thread waits for the upstream to say something.
        if watch := environ.get("portico.on_disconnect"):
            watch(self._leave)

    def begin(self, connected: socket.socket) -> None:
        """End `connected` if the client leaves from now on, or has left."""
        with self._lock:
            self._socket = connected
            if self.has_left:
                _shut_down(connected)

    def end(self) -> None:
        """Leave the connection alone: the next request on it is somebody else's."""
        with self._lock:
            self._socket = None

    def _leave(self) -> None:
        with self._lock:
            self.has_left = True
            if self._socket is not None:
                _shut_down(self._socket)


def _shut_down(connected: socket.socket) -> None:
    try:  # noqa: SIM105 - contextlib costs a worker 0.4 MB
        # Unlike close(), it wakes up a thread that waits for bytes.
        connected.shutdown(2)
    except OSError:
        pass  # the upstream was faster


class ProxiedRequest:
    """What a client asks, to be passed on to whichever upstream of a target.

    Raises Failure if its body cannot be passed on.
    """

    def __init__(
        self, environ: Environ, options: Mapping[str, Any], *, path: str, prefix: str, chunk_size: int
    ) -> None:
        self.method: str = environ["REQUEST_METHOD"]
        self.chunk_size = chunk_size
        self.client = ClientWatch(environ)
        self._environ = environ
        self._options = options
        self._path = path
        self._prefix = prefix
        self._length, self._is_chunked = _framing(environ)
        self.has_body = bool(self._length) or self._is_chunked
        self.is_repeatable = self.method in _IDEMPOTENT and not self.has_body

    def target(self, upstream: Upstream) -> str:
        """Return what the request line asks `upstream` for."""
        path = self._path
        if self._options["remove_prefix"]:
            path = f"{upstream.path.rstrip('/')}/{path[len(self._prefix) :].lstrip('/')}"
        return target(path, self._environ.get("QUERY_STRING", ""))

    def headers(self, upstream: Upstream) -> list[tuple[str, str]]:
        """Return all headers for `upstream`."""
        host = self._options["host"]
        if host is None:
            host = client_host(self._environ)
        headers = request_headers(
            self._environ,
            host=upstream.host_header if host == AUTO_HOST else host,
            own=self._options["headers"],
            prefix=self._prefix if self._options["remove_prefix"] else "",
        )
        if self._is_chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        elif self._length is not None:
            headers.append(("Content-Length", str(self._length)))
        return headers

    def blocks(self) -> Iterator[bytes]:
        """Yield the body as it is sent, in its framing.

        Raises Failure if the client has sent less than it had announced; what `wsgi.input` raises passes.
        """
        read = self._environ["wsgi.input"].read
        if self._is_chunked:
            while block := read(self.chunk_size):
                yield b"%x\r\n%b\r\n" % (len(block), block)
            yield b"0\r\n\r\n"
            return
        length = left = self._length or 0
        while left:
            block = read(min(self.chunk_size, left))
            if not block:
                raise Failure(
                    "400 Bad Request", f"The request body ended after {length - left} of {length} bytes."
                )
            left -= len(block)
            yield block


def _framing(environ: Environ) -> tuple[int | None, bool]:
    """Return the length of the request body, and whether it has none because it is chunked."""
    if text := environ.get("CONTENT_LENGTH"):
        if not (text.isascii() and text.isdigit()):
            raise Failure("400 Bad Request", "The length of the request body is no number.")
        return int(text), False
    if environ.get("HTTP_TRANSFER_ENCODING", "").strip().lower() != "chunked":
        return None, False
    if not environ.get("wsgi.input_terminated"):
        # This server hands on the chunks as they come, or nothing at all: the end cannot be found.
        raise Failure("411 Length Required", "The request body has to be sent with its length.")
    return None, True


class Exchange:
    """One request with one upstream, and then the body of the response, to be iterated and closed."""

    def __init__(self, request: ProxiedRequest, upstreams: Upstreams, upstream: Upstream) -> None:
        self._request = request
        self._upstreams = upstreams
        self._upstream = upstream
        self._connection: HTTPConnection | None = None
        self._response: HTTPResponse | None = None
        self._is_sent = False
        self._body: RequestBody | None = None
        self._is_over = False

    def begin(self) -> None:
        """Send the request and wait for the head of the response.

        Raises Failure, and whatever reading the request body raises; the exchange is over then.
        """
        try:
            kept = self._upstream.take_kept() if self._request.is_repeatable else None
            # What cannot be repeated gets a fresh connection: a kept one may be closed at any moment.
            if kept is None or not self._ask_again(kept):
                self._ask(self._connect())
        except BaseException:
            self._end(keep=False)
            raise

    def start(self, start_response: StartResponse) -> Exchange:
        """Hand on the head; return the body."""
        assert self._response is not None
        try:
            start_response(status_line(self._response), response_headers(self._response))
        except BaseException:
            self._end(keep=False)
            raise
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._is_over or self._response is None:
            raise StopIteration
        try:
            block = self._response.read1(self._request.chunk_size)
        except (OSError, HTTPException, ValueError) as error:
            self._end(keep=False)
            if self._is_of_request_body(error):
                raise
            raise self._broken_off(_described(error)) from error
        if block:
            return block
        if missing := self._response.length:
            self._end(keep=False)
            raise self._broken_off(f"{missing} bytes are missing")
        self._end(keep=True)
        raise StopIteration

    def close(self) -> None:
        """End the connection to the upstream, unless the response is complete."""
        response = self._response
        # Who has sent all of a known length need not ask for more. The last chunk is only seen by asking.
        self._end(keep=response is not None and not response.chunked and response.length == 0)

    def _end(self, *, keep: bool) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._let_go(keep=keep)
        self._upstreams.release(self._upstream)

    def _let_go(self, *, keep: bool) -> None:
        self._request.client.end()
        if self._response is not None:
            self._response.close()
        if self._connection is not None:
            response = self._response
            is_sent_whole = self._is_sent and (self._body is None or self._body.is_whole)
            if keep and is_sent_whole and response is not None and not response.will_close:
                self._upstream.keep(self._connection)
            else:
                self._connection.close()

    def _connect(self) -> HTTPConnection:
        try:
            return self._upstream.connect()
        except (OSError, HTTPException) as error:
            raise Failure(
                "502 Bad Gateway",
                "The server behind this address cannot be reached.",
                detail=f"{self._upstream.url} cannot be reached: {_described(error)}",
                is_dead=True,
                may_repeat=True,
            ) from error

    def _ask_again(self, kept: HTTPConnection) -> bool:
        """Ask on a kept connection; false if the upstream has closed it meanwhile, as it may."""
        try:
            self._ask(kept)
        except Failure as failure:
            if not failure.is_dead:
                raise
            self._let_go(keep=False)
            return False
        return True

    def _ask(self, connection: HTTPConnection) -> None:
        self._connection = connection
        self._request.client.begin(connection.sock)
        self._send_head(connection)
        # Also if it was not sent: who rejects a request need not read it.
        self._response = self._receive(connection)

    def _send_head(self, connection: HTTPConnection) -> None:
        request = self._request
        try:
            connection.putrequest(
                request.method, request.target(self._upstream), skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.headers(self._upstream):
                connection.putheader(name, value)
        except (HTTPException, ValueError) as error:
            raise Failure(
                "400 Bad Request",
                "The request cannot be passed on.",
                detail=f"a request cannot be passed on: {_described(error)}",
            ) from error
        try:
            connection.endheaders()
        except TimeoutError as error:
            raise self._timed_out("did not take the request") from error
        except OSError:
            return  # the upstream has closed, and may have responded before
        self._is_sent = True
        if request.has_body:
            self._body = RequestBody(connection.sock, request.blocks())

    def _receive(self, connection: HTTPConnection) -> HTTPResponse:
        """Receive the head of the response, and send the body of the request meanwhile."""
        body = self._body
        try:
            response = _response_of(connection, body)
        except (OSError, HTTPException, ValueError) as error:
            if self._is_of_request_body(error):
                raise
            if isinstance(error, TimeoutError):
                is_sent = body is None or body.is_over
                raise self._timed_out("did not respond" if is_sent else "did not take the request") from error
            raise self._broken(error) from error
        self._response = response
        try:
            status_line(response)
            response_headers(response)
            if response.status <= _SWITCHING_PROTOCOLS:
                raise ValueError(f"the status {response.status}")
        except ValueError as error:
            raise Failure(
                "502 Bad Gateway",
                "The server behind this address sent a response that cannot be read.",
                detail=f"{self._upstream.url} sent {error}",
            ) from error
        return response

    def _is_of_request_body(self, error: BaseException) -> bool:
        return self._body is not None and self._body.failure is error

    def _broken_off(self, why: str) -> ConnectionError:
        return ConnectionError(f"{self._upstream.url} broke off its response: {why}")

    def _timed_out(self, what: str) -> Failure:
        return Failure(
            "504 Gateway Timeout",
            f"The server behind this address {what} in time.",
            detail=f"{self._upstream.url} {what} in time",
        )

    def _broken(self, error: Exception) -> Failure:
        has_left = self._request.client.has_left
        return Failure(
            "502 Bad Gateway",
            "The server behind this address closed the connection without a response.",
            detail="" if has_left else f"{self._upstream.url} gave no response: {_described(error)}",
            is_dead=not has_left,
            may_repeat=self._request.is_repeatable and not has_left,
        )


def _response_of(connection: HTTPConnection, body: RequestBody | None) -> HTTPResponse:
    """Return the response, which is read while the rest of `body` is sent."""
    if body is None:
        return connection.getresponse()

    def made(connected: socket.socket, **arguments: Any) -> FinalResponse:
        return FinalResponse(body, **arguments)  # type: ignore[arg-type]

    connection.response_class = made  # type: ignore[assignment]
    try:
        return connection.getresponse()
    finally:
        # A connection that is kept has nothing of this request.
        connection.response_class = FinalResponse


def _described(error: Exception) -> str:
    return str(error) or type(error).__name__
