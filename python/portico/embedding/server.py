"""`portico.serve` and `portico.running`: an application served by the program that calls them.

Both bind in the calling thread, so an address that is in use is known at once. `serve` is then the server,
`running` starts a thread that is, and stops it at the end of its block.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from urllib.parse import quote

from portico import _core, log
from portico.config.addresses import parse_address
from portico.config.settings import Settings
from portico.embedding.engine import (
    STANDARD_ERROR_FD,
    EmbeddedListener,
    Stop,
    access_log_of,
    serve_here,
)
from portico.embedding.keywords import settings_from
from portico.errors import BindError
from portico.process.plan import Listener
from portico.process.sockets import bind_all
from portico.process.worker import shows_colour
from portico.types import WSGIApplication

_REACHED_BY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""All addresses of a machine are no address to connect to."""


def serve(
    app: WSGIApplication,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    unix_socket: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    **settings: object,
) -> None:
    """Serve `app` until Ctrl-C. Blocks; one process, as many threads as asked.

    `host` is a name or an address, "" for all of IPv4; `port` 0 is any free one. `unix_socket`, a path or
    @NAME, takes the place of both, and so does `bind`, one or several addresses as `portico run` takes them.
    `threads` are the most calls of `app` at the same time, 8 if nothing is said. `settings` are those of
    docs/settings.md by name (durations in seconds, sizes in bytes, or text with a unit).

    Raises TypeError or ValueError for a setting that cannot be, OSError if the address cannot be listened on.
    On the main thread what a signal's handler raises ends the server and passes through; only
    KeyboardInterrupt is what ends it as a matter of course. Elsewhere nothing does: use `running`.

        portico.serve(app, port=8080, threads=4)
    """
    server = BoundServer("serve", app, _with_address("serve", host, port, unix_socket, threads, settings))
    _core.configure_log(
        server.settings.log_level, shows_colour(STANDARD_ERROR_FD), server.settings.error_log_format == "json"
    )
    log.info(f"portico {_core.__version__} serves on {', '.join(server.displays)}")
    with contextlib.suppress(KeyboardInterrupt):
        server.serve(Stop())


@contextlib.contextmanager
def running(
    app: WSGIApplication,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    unix_socket: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    **settings: object,
) -> Iterator[RunningServer]:
    """Serve `app` on a thread of its own as long as the block lasts; for tests, and beside other work.

    Arguments and errors are those of `serve`, but that any free port is taken and no access log is written
    unless something else is said. At the end of the block, calls that run get `graceful_timeout` to finish.

        with portico.running(app) as server:
            assert urllib.request.urlopen(server.url).status == 200
    """
    settings.setdefault("access_log", "off")
    given = _with_address("running", host, port, unix_socket, threads, settings)
    server = RunningServer(BoundServer("running", app, given))
    try:
        yield server
    finally:
        server.stop()


class BoundServer:
    """An application with its settings and open sockets; serves once."""

    def __init__(self, caller: str, app: WSGIApplication, given: dict[str, object]) -> None:
        if not callable(app):
            raise TypeError(f"{caller}(): expected a WSGI application, which can be called, got {app!r}")
        self.settings = settings_from(caller, given)
        self._application = app
        with contextlib.ExitStack() as stack:
            self._access_log_fd = stack.enter_context(access_log_of(self.settings))
            self._listeners = _bind(self.settings)
            for listener in self._listeners:
                stack.callback(listener.remove_file)
            self._until_end = stack.pop_all()

    @property
    def displays(self) -> list[str]:
        """Where it listens, for people."""
        return [listener.display for listener in self._listeners]

    @property
    def url(self) -> str:
        """Where to ask, without a slash at the end; a path of a Unix socket is escaped whole (http+unix)."""
        address = self._listeners[0].address
        if address.path:
            # The name of an abstract socket begins with NUL, which is also how it is connected to (unix(7)).
            path = f"\0{address.path}" if address.is_abstract else address.path
            return f"http+unix://{quote(os.fsencode(path), safe='')}"
        host = _REACHED_BY.get(address.host, address.host)
        return f"http://[{host}]:{address.port}" if ":" in host else f"http://{host}:{address.port}"

    @property
    def port(self) -> int:
        """The port; 0 for a Unix socket."""
        return self._listeners[0].address.port

    def serve(self, stop: Stop) -> bool:
        """Serve on the calling thread until `stop`; see `serve_here`."""
        errors = log.ErrorStream()
        with self._until_end:
            all_finished = serve_here(
                self._application,
                self.settings,
                [EmbeddedListener(each.fd, each.address, each.display) for each in self._listeners],
                stop=stop,
                errors=errors,
                access_log_fd=self._access_log_fd,
            )
        errors.flush()
        return all_finished


class RunningServer:
    """A server on a thread of its own: `url` is where to ask, `port` the port."""

    def __init__(self, server: BoundServer) -> None:
        self.url = server.url
        self.port = server.port
        self._stop = Stop()
        self._error: BaseException | None = None
        # A program that forgets it can end all the same.
        self._thread = threading.Thread(target=self._serve, args=(server,), name="portico", daemon=True)
        self._thread.start()

    def _serve(self, server: BoundServer) -> None:
        try:
            server.serve(self._stop)
        except BaseException as error:
            self._error = error

    def stop(self) -> None:
        """Finish what has come in, leave, and return then. Raises what has kept the server from serving."""
        self._stop.gracefully()
        self._thread.join()
        if self._error is not None:
            raise self._error


def _with_address(
    caller: str,
    host: str,
    port: int,
    unix_socket: str | os.PathLike[str] | None,
    threads: int | None,
    settings: dict[str, object],
) -> dict[str, object]:
    """Return `settings` with the arguments that have names of their own, as settings."""
    if threads is not None:
        settings["threads"] = threads
    if unix_socket is not None:
        if "bind" in settings:
            raise TypeError(f"{caller}(): expected unix_socket or bind, got both")
        if not isinstance(unix_socket, str | bytes | os.PathLike):
            raise TypeError(f"{caller}(): unix_socket: expected a path or @NAME, got {unix_socket!r}")
        settings["bind"] = f"unix:{os.fsdecode(unix_socket)}"
    if settings.get("bind") in ([], ()):
        raise ValueError(f"{caller}(): bind: expected at least one address, got {settings['bind']!r}")
    if "bind" not in settings:
        if not isinstance(host, str):
            raise TypeError(f"{caller}(): host: expected a name or an address, got {host!r}")
        if type(port) is not int:
            raise TypeError(f"{caller}(): port: expected a whole number, got {port!r}")
        is_bare_ipv6 = ":" in host and not host.startswith("[")
        settings["bind"] = f"[{host}]:{port}" if is_bare_ipv6 else f"{host}:{port}"
    return settings


def _bind(settings: Settings) -> list[Listener]:
    try:
        listeners = bind_all(
            [parse_address(text) for text in settings.bind],
            backlog=settings.backlog,
            write_timeout_s=settings.write_timeout_s,
        )
    except BindError as error:
        if error.is_in_use:
            raise OSError(errno.EADDRINUSE, error.message) from None
        raise OSError(error.message) from None
    for listener in listeners:
        # There is no exec that they have to outlive.
        os.set_inheritable(listener.fd, False)
    return listeners
