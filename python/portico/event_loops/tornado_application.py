"""A native application of Tornado's as a WSGI application: what gunicorn's users run with `-k tornado`.

Only on the thread of its loop (`portico.event_loops.tornado`). The call's greenlet hands the request over and
waits for what the handler sends, while the loop runs; so each block leaves when the handler writes it, and
`await self.flush()` ends when the client has room for more.
"""

from __future__ import annotations

from asyncio import CancelledError, Task, ensure_future, events
from collections import deque
from functools import partial

import greenlet
from tornado.httputil import HTTPConnection, HTTPHeaders, RequestStartLine
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Handle
    from collections.abc import Callable, Coroutine, Iterator
    from typing import Any

    from tornado.httputil import HTTPServerConnectionDelegate, ResponseStartLine

    from portico.types import Environ, StartResponse

_BLOCK_BYTES = 65536
_SWITCHING_PROTOCOLS = 101
_WEB_SOCKETS = "web sockets of Tornado are not served: expected Tornado's own server for them"


class TornadoApplication:
    """Calls `application`, such as a `tornado.web.Application`, for each request."""

    def __init__(self, application: HTTPServerConnectionDelegate) -> None:
        self._application = application

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        connection = _Connection(environ, start_response)
        environ["portico.on_disconnect"](connection.client_leaves)
        return connection.exchange(self._application, environ)


def _headers(environ: Environ) -> HTTPHeaders:
    headers = HTTPHeaders()
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            headers.add(name[5:].replace("_", "-").title(), value)
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if value := environ.get(name):
            headers.add(name.replace("_", "-").title(), value)
    return headers


class _Client:
    """What handlers are told of the client."""

    def __init__(self, environ: Environ) -> None:
        self.remote_ip = environ.get("REMOTE_ADDR") or "127.0.0.1"
        self.protocol = environ["wsgi.url_scheme"]
        self.address = (self.remote_ip, environ.get("REMOTE_PORT", ""))


class _Connection(HTTPConnection):
    """The connection of one request, as Tornado sees it.

    What handlers send is kept until the call's greenlet takes it: a head and a first block, further blocks,
    None for the end; each with a future that is done when the client has room for more. Where the handler
    ends with SystemExit or the like, that is kept in their place.
    """

    def __init__(self, environ: Environ, start_response: StartResponse) -> None:
        self.context = _Client(environ)
        self._start_response = start_response
        self.no_keep_alive = False
        self._loop: AbstractEventLoop = environ["portico.loop"]
        self._sent: deque[
            tuple[ResponseStartLine | None, Any, bytes | None, Future[None]] | BaseException | None
        ] = deque()
        self._taken: Future[None] | None = None
        self._waiting: greenlet.greenlet | None = None
        self._switch: Handle | None = None
        self._on_close: Callable[[], None] | None = None
        self._has_begun = self._has_left = False
        self._is_finished = self._is_over = False

    # As the handlers call it, while the loop runs.

    def write_headers(
        self, start_line: Any, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> Future[None]:
        """Send the head, and the first block."""
        return self._send(start_line, headers, chunk)

    def write(self, chunk: bytes) -> Future[None]:
        """Send a block."""
        return self._send(None, None, chunk)

    def finish(self) -> None:
        """End the response."""
        self._is_finished = True
        self._sent.append(None)
        self._go_on()

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Have `callback` called when the client leaves."""
        self._on_close = callback

    def set_max_body_size(self, max_body_size: int) -> None:
        """Nothing: the limits of the server hold."""

    def set_body_timeout(self, timeout: float) -> None:
        """Nothing: the deadlines of the server hold."""

    def detach(self) -> None:
        """Say that the socket is not to be had."""
        raise HTTPError(501, _WEB_SOCKETS)

    def client_leaves(self) -> None:
        """Have the handler told of it. Called on a thread that is not the loop's."""
        self._loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        """Tell the handler that nobody takes its response any more."""
        if self._has_left:
            return
        self._has_left = True
        for sent in self._sent:
            if isinstance(sent, tuple):
                _fail(sent[3])
        if self._taken is not None:
            _fail(self._taken)
        callback, self._on_close = self._on_close, None
        if callback is not None:
            callback()
        self._sent.append(None)
        self._go_on()

    def _send(self, start_line: Any, headers: Any, chunk: bytes | None) -> Future[None]:
        future = self._loop.create_future()
        if self._has_left:
            _fail(future)
        else:
            self._sent.append((start_line, headers, chunk, future))
            self._go_on()
        return future

    def _go_on(self) -> None:
        """Have the call's greenlet go on, if it waits."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._switch = self._loop.call_soon(waiting.switch)

    def _begin_task(self, factory: Any, loop: AbstractEventLoop, work: Any, **keywords: Any) -> Any:
        """Make a task of a handler's work, as the loop does that has this `factory` of tasks, or none."""
        work = self._do(work)
        return Task(work, loop=loop, **keywords) if factory is None else factory(loop, work, **keywords)

    async def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do a handler's work; what Tornado does not catch, such as SystemExit, ends the call alone."""
        try:
            return await work
        except (Exception, CancelledError):
            raise
        except BaseException as error:
            if self._is_finished:
                raise
            self._sent.append(error)
            self._go_on()

    # As the call's greenlet calls it, while the loop stands still.

    def exchange(self, application: HTTPServerConnectionDelegate, environ: Environ) -> Iterator[bytes]:
        """Hand the request over, and yield what the handler sends, perhaps before it has all of a body."""
        target = environ.get("RAW_URI") or environ["PATH_INFO"]
        line = RequestStartLine(environ["REQUEST_METHOD"], target, environ["SERVER_PROTOCOL"])
        read = environ["wsgi.input"].read
        try:
            delegate = application.start_request(None, self)
            yield from self._sent_during(delegate.headers_received, line, _headers(environ))
            while not self._is_over and (block := read(_BLOCK_BYTES)):
                yield from self._sent_during(delegate.data_received, block)
            if not self._is_over:
                yield from self._sent_during(delegate.finish)
            yield from self._sent_until(lambda: False)
        finally:
            if not self._is_over:
                # In the middle: because nobody takes it, or the call has been ended.
                self._loop.call_soon(self._leave)

    def _sent_during(self, function: Callable[..., Any], *arguments: Any) -> Iterator[bytes]:
        """Call `function` with the loop running, and yield what is sent until what it returns is done."""
        factory = self._loop.get_task_factory()
        events._set_running_loop(self._loop)
        self._loop.set_task_factory(partial(self._begin_task, factory))
        try:
            result = function(*arguments)
            future = None if result is None else ensure_future(result)
        finally:
            self._loop.set_task_factory(factory)
            events._set_running_loop(None)
        if future is None:
            yield from self._sent_until(lambda: True)
            return
        future.add_done_callback(lambda done: self._go_on())
        yield from self._sent_until(future.done)
        if future.done():
            future.result()

    def _sent_until(self, is_enough: Callable[[], bool]) -> Iterator[bytes]:
        """Yield what is sent, and what will be until that is true or the response ends."""
        while not self._is_over:
            if self._sent:
                yield from self._take()
            elif is_enough():
                return
            else:
                self._wait()

    def _take(self) -> Iterator[bytes]:
        """Yield what the handler has sent next."""
        sent = self._sent.popleft()
        if sent is None:
            self._is_over = True
            if self._has_left and not self._has_begun:
                # Also what nobody takes has a head.
                self._start_response("499 Client Closed Request", [])
            return
        if isinstance(sent, BaseException):
            raise sent
        start_line, headers, chunk, self._taken = sent
        if start_line is not None and start_line.code == _SWITCHING_PROTOCOLS:
            # Before it asks for the socket, which it does not get.
            self._start_response("501 Not Implemented", [("Content-Type", "text/plain; charset=utf-8")])
            yield f"501 Not Implemented: {_WEB_SOCKETS}\n".encode()
            self._is_over = True
            self._loop.call_soon(self._leave)
            return
        if start_line is not None:
            self._has_begun = True
            self._start_response(f"{start_line.code} {start_line.reason}", list(headers.get_all()))
        if chunk:
            yield chunk
        if not self._taken.done():
            self._taken.set_result(None)

    def _wait(self) -> None:
        """Let the loop run until there is something."""
        own = greenlet.getcurrent()
        self._waiting = own
        events._set_running_loop(self._loop)
        try:
            own.parent.switch()
        finally:
            events._set_running_loop(None)
            self._waiting = None
            if self._switch is not None:
                # Where something was thrown in before that had its turn, the greenlet has other business.
                self._switch.cancel()
                self._switch = None


def _fail(future: Future[None]) -> None:
    if not future.done():
        future.set_exception(StreamClosedError())
        # Who does not wait for it is not to be told.
        future.exception()
