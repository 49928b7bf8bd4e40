"""The engine: sockets, HTTP, the WSGI bridge, counters and logs; a Rust extension (`src/`)."""

from typing import Any, final

from portico.config.settings import Settings
from portico.types import EngineProcess, WSGIApplication

__all__ = [
    "FileWrapper",
    "RequestBodyError",
    "RunningCall",
    "Scoreboard",
    "WorkerStatus",
    "__version__",
    "after_fork_in_child",
    "before_fork",
    "configure_log",
    "flush_log",
    "log",
    "log_lines",
    "serve",
    "setting_names",
    "socket_pair",
    "trim_heap",
]

__version__: str

class RequestBodyError(ConnectionError):
    """What `wsgi.input` raises when the client does not send the body as it had announced.

    It left, was too slow, broke the chunked framing, or sent more than may be. An application that lets it
    pass is not at fault: nothing is logged as its error, and the client gets `status`.
    """

    status: int

@final
class FileWrapper:
    """`wsgi.file_wrapper(filelike, blksize)`: an iterable over a file; sendfile(2) sends a plain one.

    `filelike` has `read(size)`, and `close()` if it can be closed; `blksize`, which may be called
    `block_size` too, is how many bytes are read at a time, 8192 if nothing is said. `seekable`, `seek` and
    `tell` are those of `filelike`.
    """

    def __new__(
        cls, filelike: Any, blksize: int | None = None, *, block_size: int | None = None
    ) -> FileWrapper: ...
    @property
    def filelike(self) -> Any:
        """The file-like object."""
    @property
    def blksize(self) -> int:
        """Bytes asked of `read` at a time."""
    def __iter__(self) -> FileWrapper: ...
    def __next__(self) -> Any:
        """Return the next block, or stop at the first that is empty."""
    def close(self) -> None:
        """Close the file-like object if it can be closed."""
    def seekable(self) -> bool:
        """Say whether the file-like object can seek."""
    def seek(self, offset: int, whence: int = 0, /) -> Any:
        """Have the file-like object go on at `offset`."""
    def tell(self) -> Any:
        """Return where the file-like object goes on."""

@final
class RunningCall:
    """One call of the application that has not ended yet."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the application was called."""
    @property
    def silent_s(self) -> float:
        """Seconds that the client has waited for it: since the call, or the last block that left.

        What the call itself has waited for its client does not count.
        """
    @property
    def what(self) -> str:
        """The request line, shortened: `GET /path`."""

@final
class WorkerStatus:
    """What one worker has done and is doing, as read from shared memory at one moment."""

    @property
    def requests(self) -> int:
        """Requests completed since the slot was reset."""
    @property
    def connections(self) -> int:
        """Connections open now."""
    @property
    def connections_total(self) -> int:
        """Connections accepted since the slot was reset."""
    @property
    def bytes_sent(self) -> int:
        """Bytes of responses, heads included."""
    @property
    def errors(self) -> int:
        """Requests that ended in an exception of the application."""
    @property
    def calls(self) -> list[RunningCall]:
        """The calls that are in the application right now."""
    @property
    def waiting_s(self) -> float:
        """Seconds that a thread with a request has waited for the interpreter; 0 if none does."""

@final
class Scoreboard:
    """Counters of all workers in one anonymous shared mapping; made before the first fork. By what is in it
    workers that share sockets decide who takes a connection.

    `slots` is how many workers can exist at the same time. It outlives a worker, so the calls that a killed
    worker had in flight can still be read.
    """

    def __new__(cls, slots: int) -> Scoreboard: ...
    @property
    def slots(self) -> int:
        """How many workers can exist at the same time."""
    def reset(self, slot: int) -> None:
        """Clear `slot` (0 to slots - 1), whose worker has ended; others take the connections that wait."""
    def read(self, slot: int) -> WorkerStatus:
        """Return a copy of what is in `slot` (0 to slots - 1)."""

def log(level: str, message: str) -> None:
    """Write one record to standard error: `[2026-11-21 04:51:38 +0000] [pid] [level] message`.

    `level` is debug, info, warning, error or critical. `message` may have several lines. If nobody reads
    what a pipe should take, 256 KiB are kept and the rest is given up, which is said later.
    """

def log_lines(text: str) -> None:
    """Write `text`, one line or several, to standard error as it is, whatever the level; waits like `log`."""

def flush_log(patience_s: float) -> bool:
    """Write what was kept while nobody read standard error, waiting at most `patience_s` seconds.

    Returns whether that was all.
    """

def configure_log(level: str, colour: bool) -> None:
    """Leave out records below `level`; `colour` says whether standard error shows colours.

    To be called in each process that is to keep what standard error does not take, while it has one thread.
    """

def serve(
    application: WSGIApplication,
    settings: Settings,
    process: EngineProcess,
    scoreboard: Scoreboard,
    slot: int,
) -> bool:
    """Serve `application` on the calling thread until told to stop (see `EngineProcess.signal_fd`).

    May be called again, and on several threads at the same time, each with listeners and a slot of its own.
    Returns True when everything in flight was responded to, False when something was aborted.
    """

def before_fork() -> None:
    """Say that the process is about to fork: from now on a close ends a connection whoever holds it too."""

def after_fork_in_child() -> None:
    """Say that this process was forked: it ends, with a line in the log, where it would respond."""

def setting_names() -> list[str]:
    """Return the names of the settings that the engine reads: attributes of `Settings`."""

def trim_heap() -> None:
    """Give free memory of the C library back to the system (malloc_trim(3)), where it can be asked.

    For the supervisor before it forks: what is free in its heap would be in every worker's.
    """

def socket_pair() -> tuple[int, int]:
    """Return the supervisor's and the worker's end of a connection between them, both to be closed.

    As `socket.socketpair()`, without the 0.5 MB of the module.
    """
