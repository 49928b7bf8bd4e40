"""The engine: sockets, HTTP, the WSGI bridge, counters and logs; a Rust extension (`src/`)."""

from collections.abc import Sequence
from typing import Any, Final, final

from typing_extensions import disjoint_base

from portico.config.settings import Settings
from portico.types import EngineProcess, EngineTls, WSGIApplication

__all__ = [
    "CLOSED",
    "CONTINUE",
    "DURATION_BOUNDS_S",
    "NEED_DATA",
    "CounterSeries",
    "Data",
    "EndOfRequest",
    "EventLoop",
    "FileWrapper",
    "GaugeSeries",
    "HistogramSeries",
    "ParserState",
    "RequestBodyError",
    "RequestHead",
    "RequestParser",
    "RequestRejected",
    "ResponseEncoder",
    "RunningCall",
    "Scoreboard",
    "WorkerStatus",
    "__version__",
    "accept_connection",
    "adopt_orphans",
    "after_fork_in_child",
    "before_fork",
    "bound_capabilities",
    "check_access_log",
    "check_tls",
    "configure_log",
    "define_metric",
    "flush_log",
    "fork_orphan",
    "gain_no_privileges",
    "give_back_memory",
    "hold_capabilities",
    "is_to_say_that_metrics_are_full",
    "log",
    "log_lines",
    "log_plainly",
    "metrics_here",
    "name_process",
    "next_record",
    "open_log_socket",
    "order_log",
    "pipe_log",
    "queue_log",
    "read_member",
    "receive_descriptors",
    "restrict_writes",
    "send_datagram",
    "send_descriptors",
    "serve",
    "set_log_level",
    "setting_names",
    "socket_pair",
    "unaccepted_connections",
    "unpipe_log",
    "unqueue_log",
]

__version__: str

DURATION_BOUNDS_S: Final[tuple[float, ...]]
"""The upper bounds of the buckets of histograms, in seconds; one more bucket is beyond all of them."""

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
    @property
    def cell(self) -> int:
        """Where it stands in the scoreboard: one call at a time does."""
    @property
    def started_ns(self) -> int:
        """When it began, in nanoseconds of the monotonic clock: with `cell`, the call's name."""
    @property
    def allowed_s(self) -> float:
        """Seconds that it may keep its client waiting by its own word; 0 if it has not said anything."""
    @property
    def thread_id(self) -> int:
        """The number that the kernel knows its thread by."""
    @property
    def is_settled(self) -> bool:
        """Whether its request is counted and logged: the server has responded in its place."""
    @property
    def is_web_socket(self) -> bool:
        """Whether it speaks a web socket: it lasts as long as its client likes."""

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
        """Bytes of the bodies of responses."""
    @property
    def errors(self) -> int:
        """Requests that ended with a status of 500 or above."""
    @property
    def active_requests(self) -> int:
        """Requests that wait or are responded to now."""
    @property
    def calls(self) -> list[RunningCall]:
        """The calls that are in the application right now."""
    @property
    def waiting_s(self) -> float:
        """Seconds that a thread with a request has waited for the interpreter; 0 if none does."""

@final
class Scoreboard:
    """Counters of all workers in one shared mapping; made before the first fork. By what is in it workers
    that share sockets decide who takes a connection.

    `slots` is how many workers can exist at the same time. It outlives a worker, so the calls that a killed
    worker had in flight can still be read.
    """

    def __new__(cls, slots: int) -> Scoreboard: ...
    @staticmethod
    def taken_over(memory_fd: int, left_connections_fd: int) -> Scoreboard:
        """Return the scoreboard that the supervisor before this one has had, by its `descriptors`.

        Both are taken over. Raises OSError if it is of another layout.
        """
    def descriptors(self) -> tuple[int, int] | None:
        """Return what `taken_over` needs, which stays the scoreboard's; None where the memory has none."""
    @property
    def slots(self) -> int:
        """How many workers can exist at the same time."""
    def reset(self, slot: int) -> None:
        """Clear `slot` (0 to slots - 1), whose worker has ended; others take the connections that wait."""
    def read(self, slot: int) -> WorkerStatus:
        """Return a copy of what is in `slot` (0 to slots - 1)."""
    def durations(self, slot: int) -> list[tuple[tuple[str, ...], list[int]]]:
        """Return the histograms of `slot`, none if its worker does not count: what each is of, and figures.

        First `request`, with the application, the method, the route and the class of the status, or `queue`,
        or `interpreter`; then how many there are in each bucket, and not in one before it, and the sum of
        all in nanoseconds.
        """
    def use_for_metrics(self, slot: int | None) -> None:
        """Have the application of this process count its metrics here (`portico.metrics`).

        As the worker of `slot`, or, without one, as a template, whose gauges are those that the workers
        begin with which are forked from it.
        """
    def metrics(self) -> list[tuple[int, bytes, int, list[float]]]:
        """Return all entries of the application's metrics, in the order in which they were made.

        Each with its number, its key, when it was defined last in monotonic nanoseconds, and its figures:
        the last is a sum, those before it count. Two may have the same key, and are to be added up.
        """
    def gauges(self) -> list[tuple[int, int, float]]:
        """Return the gauges that are set: the slot of the worker, the number of the entry, the value."""
    def latest_calls(self, slot: int, within_s: float) -> list[str]:
        """Return the latest call of each thread of `slot`, such as `GET /path`.

        Those that have come within `within_s` seconds, and those that still run.
        """
    def has_unwritten(self, slot: int) -> bool:
        """Say whether the worker of `slot` has access lines to be written, or calls without."""
    def count_unfinished(self, slot: int) -> None:
        """Count the calls that the worker of `slot` has left, which has ended, among its requests."""
    def log_unfinished(
        self,
        worker: tuple[int, int],
        fds: tuple[int, int],
        colour: bool,
        settings: Settings,
        cause: str,
        causes: dict[int, str],
    ) -> None:
        """Write the access lines that `worker`, its slot and its process, has not written.

        They go to the first of `fds`, and are of requests that had ended, and of the calls that were running,
        at the end of whose lines `cause` stands, or what `causes` has for their cell. Spans of those calls go
        to the second. A negative descriptor is none. Who reads the log is waited for as shortly as may be.
        Raises OSError.
        """

@final
class CounterSeries:
    """A number that only grows, one for all workers: what `portico.metrics.Counter.labels` returns.

    `key` names it, `is_bounded` is whether it is one of those that requests bring, of which there are 2048.
    Raises MemoryError if there is no room.
    """

    def __new__(cls, key: bytes, is_bounded: bool) -> CounterSeries: ...
    def inc(self, amount: float = 1.0, /) -> None:
        """Add `amount`. Raises ValueError if that is less than 0, or no number."""
    def value(self) -> float:
        """Return what all workers have counted."""

@final
class GaugeSeries:
    """A number that goes up and down: what `portico.metrics.Gauge.labels` returns.

    With `is_shared` it is one for all workers, else each has its own. The rest as for `CounterSeries`.
    """

    def __new__(cls, key: bytes, is_bounded: bool, is_shared: bool) -> GaugeSeries: ...
    def set(self, value: float, /) -> None:
        """Set it to `value`."""
    def inc(self, amount: float = 1.0, /) -> None:
        """Add `amount`."""
    def dec(self, amount: float = 1.0, /) -> None:
        """Subtract `amount`."""
    def value(self) -> float:
        """Return the value, that of this worker if each has its own; 0 if it was never set."""

@disjoint_base
class HistogramSeries:
    """How often something was how large: what `portico.metrics.Histogram.labels` returns.

    `bounds` are the upper bounds of its buckets, in ascending order. The rest as for `CounterSeries`.
    """

    def __new__(cls, key: bytes, is_bounded: bool, bounds: Sequence[float]) -> HistogramSeries: ...
    def observe(self, value: float, /) -> None:
        """Count `value` in its bucket. Raises ValueError if it is no number."""
    def figures(self) -> list[float]:
        """Return how many there are in each bucket, and not in one before it, and the sum of all."""

def define_metric(key: bytes) -> int:
    """Find or make an entry without a value, and note that it is used now; return its number.

    Raises MemoryError if there is no room.
    """

def is_to_say_that_metrics_are_full() -> bool:
    """Say whether nobody has said yet that there is no room for another series; who asks says it."""

def metrics_here() -> Scoreboard:
    """Return the scoreboard that the application's metrics of this process are in."""

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

def log_plainly(level: str, message: str) -> None:
    """Write one record to standard error, wherever records go."""

def pipe_log() -> int:
    """Have records from now on written as lines of JSON into a pipe; returns the descriptor to read it by.

    Holds for this process and for those that it forks.
    """

def unpipe_log() -> None:
    """Have records from now on written to standard error again."""

def order_log(line: str) -> None:
    """Write a line that is no record into the pipe of `pipe_log`; nothing if there is none."""

def queue_log() -> None:
    """Have records of this process wait for `next_record` from now on, up to a bound; nobody waits for it."""

def unqueue_log() -> None:
    """End that; what waits is still to be taken by `next_record`."""

def next_record() -> tuple[str, float, str, dict[str, str], BaseException | None] | None:
    """Wait for a record: level, time, sentence, fields, exception; None after `unqueue_log`.

    With the level `reopen` it is none: files of logs are to be opened anew.
    """

def configure_log(level: str, colour: bool, json: bool = False) -> None:
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

@final
class EventLoop:
    """A server, as the thread of an event loop has it (`portico.types.EventLoop`).

    The loop watches `fileno()`, and has a turn when that is readable: `begin_turn`, then a task for each
    request, until `is_due` says no. Before it waits for events, it calls `end_turn`.
    """

    def fileno(self) -> int:
        """Return the descriptor that is readable while there is something to do."""
    def begin_turn(self) -> tuple[list[int], bool, list[Any]]:
        """Return what there is to do beside requests.

        The numbers of waits that are over, whether there may be late tasks, and what is to be called in tasks
        of their own.
        """
    def next_late(self) -> Any | None:
        """Return a task in whose call RequestTimeout is to be raised, before anything else runs."""
    def is_due(self) -> bool:
        """Say whether a request waits, or the server has ended; if not, `fileno()` says when one does."""
    def is_turn_over(self) -> bool:
        """Say whether others are to have the thread now; then `fileno()` is readable at once."""
    def summon(self) -> None:
        """Make `fileno()` readable."""
    def end_turn(self) -> None:
        """Say that the loop has nothing to do."""
    @staticmethod
    def failed_in_loop(error: BaseException, /) -> None:
        """Log what the application has raised in the loop, and not in a call."""
    def queued(self) -> int:
        """Return how many requests wait."""
    def is_over(self) -> bool:
        """Say whether the server has ended."""
    def call_next(self, task: object, /) -> bool:
        """Call the application for the next request, as a part of `task`, if one waits.

        False where none does, where as many calls run as may, or where others are to have their turn.
        """

def before_fork() -> None:
    """Say that the process is about to fork: from now on a close ends a connection whoever holds it too."""

def after_fork_in_child() -> None:
    """Say that this process was forked: it ends, with a line in the log, where it would respond."""

def adopt_orphans() -> None:
    """Let processes below this one whose parents end become its children (PR_SET_CHILD_SUBREAPER, prctl(2)).

    Outlives an exec, and is not inherited. Raises OSError, on other systems than Linux always.
    """

def fork_orphan() -> int:
    """Fork as `os.fork` does, and return the same; but the new process is not a child of this one.

    It is one of the nearest process above that has called `adopt_orphans`. What `os.register_at_fork` has
    registered is called as by `os.fork`. Raises OSError.
    """

def bound_capabilities(kept: list[int]) -> None:
    """Let no program that is started here ever have a capability that is not among the numbers `kept`.

    Those outlive a change of the user. Like the next three for a process with one thread. Raises OSError.
    """

def give_back_memory() -> None:
    """Give memory back to the system that only the start has needed.

    That is what is free in the C library's heap (malloc_trim(3)), which would be in every worker's, the pages
    of the program and its libraries (madvise(2)), which are mapped again where they are needed, and the
    stack that no call is using.
    """

def name_process(name: str, title: str) -> None:
    """Call this process `title` where command lines are shown, and `name` where there is room for less.

    Linux keeps 15 bytes of `name` (prctl(2), PR_SET_NAME), for `top` and `ps -o comm`; of `title` there
    remain as many as the command line had, several hundred after the exec of `portico run`. Nothing happens
    elsewhere, and where /proc is not there or may not be written.
    """

def hold_capabilities(kept: list[int]) -> None:
    """Give up all capabilities but the numbers `kept`; raises OSError if one of these is not there."""

def gain_no_privileges() -> None:
    """Let no program that is started here gain anything by its file (PR_SET_NO_NEW_PRIVS, prctl(2))."""

def restrict_writes(writable: list[str]) -> bool:
    """Let this process write only to the files of `writable` and below its directories (landlock(7)).

    After `gain_no_privileges`. Returns False, with nothing restricted, where the kernel has no Landlock.
    Raises OSError.
    """

def setting_names() -> list[str]:
    """Return the names of the settings that the engine reads: attributes of `Settings`."""

def socket_pair() -> tuple[int, int]:
    """Return the supervisor's and the worker's end of a connection between them, both to be closed.

    As `socket.socketpair()`, without the 0.5 MB of the module.
    """

def receive_descriptors(fd: int) -> tuple[bytes, list[int]] | None:
    """Return what has come through the Unix socket `fd`, and the descriptors that came along (SCM_RIGHTS).

    None if nothing has come yet (the socket does not block), or the other end is closed. As
    `socket.recv_fds()`, without the module. Raises OSError.
    """

def send_descriptors(fd: int, data: bytes, fds: list[int]) -> int:
    """Send `data` in one piece through the Unix socket `fd`, and two of `fds` at most along with it.

    Returns how many bytes were taken. Waits for nobody. Raises OSError, BlockingIOError if there is no room.
    """

def accept_connection(fd: int) -> tuple[int, int] | None:
    """Return the next connection to the listening Unix socket `fd`, and the user id of who has connected.

    None if nobody has. The connection does not block, and is to be closed. Raises OSError.
    """

def unaccepted_connections(fd: int) -> int | None:
    """Return how many connections to the listening socket `fd` nobody has accepted yet.

    None if it is not a socket of TCP. Raises OSError if it is no descriptor.
    """

def read_member(text: str) -> tuple[str, bool]:
    """Return the member of an upstream that `text` means, as it is shown, and whether that is a name.

    All addresses of a name are members. Raises ValueError with a sentence.
    """

def check_tls(tls: EngineTls) -> None:
    """Read the files that `tls` names, as a worker will. Raises ValueError with a sentence."""

def check_access_log(settings: Settings, scoreboard: Scoreboard | None = None, slot: int = 0) -> None:
    """Read what `settings` say of access lines, as a worker will. Raises ValueError with a sentence.

    With the slot of a worker, also if the application has not made the metrics that they are to have.
    """

def open_log_socket(access_log: str) -> tuple[int, str | None]:
    """Return a socket to the log daemon that `access_log` means, and why it is not connected, if it is not.

    Nothing that is written to it waits. Raises ValueError with a sentence, and OSError if there can be none.
    """

def set_log_level(level: str) -> None:
    """Leave out records below `level` from now on, in this process."""

def send_datagram(address: bytes, data: bytes, fds: Sequence[int]) -> None:
    """Send `data` to the Unix datagram socket at `address`, and the descriptors `fds` with it (SCM_RIGHTS).

    An address that begins with `@` is abstract. Waits for nobody: raises BlockingIOError where there is no
    room now, and another OSError where nobody is. As `socket.send_fds()`, without the module.
    """

# What follows is made when it is first asked for; `portico.wire` is where it is meant to be imported from.

class RequestRejected(Exception):
    """A request breaks a rule of RFC 9110 or RFC 9112, or a limit of the parser.

    `status` is the status of the error response, `reason` the rule as a sentence, `response` the whole error
    response, as portico sends it: to be sent, and the connection closed, since where the next request would
    begin is not known (RFC 9112 9.6).
    """

    status: int
    reason: str
    response: bytes

@final
class ParserState:
    """The state of a parser that has no event: one of the two objects `NEED_DATA` and `CLOSED`."""

NEED_DATA: Final[ParserState]
"""There is no event before more bytes are fed."""

CLOSED: Final[ParserState]
"""No further request is read: the client has closed the connection, or its last request was the last one."""

CONTINUE: Final[bytes]
"""The interim response for which a client with `Expect: 100-continue` waits (RFC 9110 10.1.1)."""

@final
class RequestHead:
    """The head of a request.

    Texts are native strings (PEP 3333 "Unicode Issues"): each character stands for one byte.
    """

    @property
    def method(self) -> str:
        """The method, such as GET; a token, in the case it was sent in."""
    @property
    def target(self) -> str:
        """The request target as it was sent (RFC 9112 3.2)."""
    @property
    def path(self) -> str:
        """The path of the target, its escapes decoded once, as PATH_INFO has it; empty for `OPTIONS *`."""
    @property
    def query(self) -> str:
        """The query of the target, not decoded, without its `?`."""
    @property
    def version(self) -> str:
        """HTTP/1.0 or HTTP/1.1; a later minor version is taken for 1.1 (RFC 9110 2.5)."""
    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The fields as (name, value), in order, repeats and all."""
    @property
    def host(self) -> str | None:
        """The authority of an absolute target, else Host (RFC 9112 3.2.2); None if neither is there."""
    @property
    def content_length(self) -> int | None:
        """Bytes of the body: 0 if there is none, None if only its end will tell, since it is chunked."""
    @property
    def keep_alive(self) -> bool:
        """Whether the client may send another request on this connection (RFC 9112 9.3)."""
    @property
    def expect_continue(self) -> bool:
        """Whether the client waits for `CONTINUE` before it sends the body (RFC 9110 10.1.1)."""
    @property
    def upgrade(self) -> bool:
        """Whether the client asks for another protocol (RFC 9110 7.8)."""

@final
class Data:
    """Some bytes of a request's body, out of their framing.

    How many come at a time depends on how many were fed; the chunks of a body are joined.
    """

    __match_args__: Final = ("data",)

    @property
    def data(self) -> bytes:
        """The bytes; never empty."""

@final
class EndOfRequest:
    """The end of a request: all of its body has been handed on."""

    __match_args__: Final = ("trailers",)

    @property
    def trailers(self) -> tuple[tuple[str, str], ...]:
        """The fields after a chunked body as (name, value); not to be taken for headers (RFC 9110 6.5.1)."""

@final
class RequestParser:
    """Reads the requests of one connection: `feed` takes its bytes, `next_event` says what they are.

    The limits are those of the settings of the same names (docs/settings.md), in bytes but for `max_headers`.
    `max_request_body_bytes` may be 0 for no limit. May be used from several threads.
    """

    def __new__(
        cls,
        *,
        max_head_bytes: int = 65536,
        max_headers: int = 100,
        max_request_line_bytes: int = 8190,
        max_header_bytes: int = 16384,
        max_chunk_extension_bytes: int = 16384,
        max_trailer_bytes: int = 8192,
        max_request_body_bytes: int = 1073741824,
    ) -> RequestParser: ...
    def feed(self, data: bytes | bytearray, /) -> None:
        """Take what was read from the connection; `b""` is its end.

        The bytes are kept until `next_event` has made events of them. Raises RuntimeError after a request was
        rejected, and where bytes come after the end.
        """
    def next_event(self) -> RequestHead | Data | EndOfRequest | ParserState:
        """Return the next event.

        Each request is a `RequestHead`, any number of `Data`, and an `EndOfRequest`; the next request may
        follow at once. `NEED_DATA` says that more bytes have to be fed first, `CLOSED` that no request will
        come. Raises RequestRejected, from then on each time, where a request breaks a rule; ConnectionError
        where the client has closed the connection in the middle of a request.
        """
    @property
    def leftover(self) -> bytes:
        """The bytes that were fed and are part of no event yet."""

@final
class ResponseEncoder:
    """Writes one response: `head`, then `block` for each block of its body, then `end`.

    `request` is the head that it responds to; without one, the connection closes. So it does with
    `keep_alive=False`. `server_header` is what the Server header says, unless the application sends one;
    empty for no such header.
    """

    def __new__(
        cls, request: RequestHead | None = None, /, *, keep_alive: bool = True, server_header: str = "portico"
    ) -> ResponseEncoder: ...
    def head(
        self, status: str, headers: list[tuple[str, str]], /, *, body_length: int | None = None
    ) -> bytes:
        """Return the bytes of the head; decides how the body is framed (RFC 9112 6.3).

        `status` is like `200 OK`, from 200 on. `body_length` is the length of the whole body, where it is
        known. A Content-Length among the `headers` goes before it; without either, the body is chunked for
        HTTP/1.1, and ends with the connection for HTTP/1.0. Adds what is missing of Content-Length,
        Transfer-Encoding, Connection, Date and Server.

        Raises ValueError for what may not stand in a head, hop-by-hop headers among it (PEP 3333 "Other HTTP
        Features"), TypeError for a wrong type, RuntimeError after the first call.
        """
    def block(self, data: bytes, /) -> bytes:
        """Return the bytes of a block of the body in its framing.

        These are none for a response without a body: one to HEAD, or with the status 204 or 304 (RFC 9110
        6.4.1). Raises ValueError where the body becomes longer than its Content-Length, RuntimeError before
        `head` and after `end`.
        """
    def end(self) -> bytes:
        """Return the bytes that end the body.

        Raises ValueError where it is shorter than its Content-Length, RuntimeError before `head` and after
        `end`.
        """
    @property
    def started(self) -> bool:
        """Whether the head has been encoded."""
    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open: the response has ended, and both sides keep the connection."""
