"""What supervisor and worker say to each other, both ways, over a socketpair of each worker's own.

    supervisor to worker   A Announce the end is near: tell clients and load balancers, and go on serving
                           D Drain    take no new requests, finish those in flight, and leave; text: within
                                      how many seconds, empty for the graceful timeout
                           Q Quit     leave as soon as no call runs
                           P Promote  be a template, now that the engine has ended
                           V Verbosity  log from the level on that the text names
                           O Reopen   go on with the log files that come along (SCM_RIGHTS); text: a letter
                                      for each, a access log, e error log
                           S Stack    log the stack of a call; text of this and the next two: the call's cell,
                                      its start, and what to say of it
                           I Interrupt  raise RequestTimeout in a call
                           E Respond  respond with 504 in a call's place
                           C Clear    respond with 503 to what waits for a thread: the worker is killed next
                           K Greenlets  log the stacks of all greenlets of an event loop
                           M Members  change members of upstreams; text of this and the next:
                                      `crates/engine/src/upstream/orders.rs`
                           U Report   report the members of all upstreams
                           G Profile  sample calls (text: `crates/engine/src/profiling.rs`), and send the
                                      result through the socket that comes along
    worker to supervisor   R Ready    the engine accepts connections; text: the application's full name
                           F Failed   the worker cannot serve; text: why
                           L Leaving  the worker leaves because of a signal; text: D or Q, as if so ordered
                           T Taken    the order with this number was taken
                           U Report   what was asked for by the order with this number
                           S Stack    where a call that takes long stands, or that it has ended; text:
                                      `crates/engine/src/slow_calls.rs`
                           X Errors   requests that have failed; text: `crates/engine/src/failed_requests.rs`
                           W Warmed   the engine has ended, all was finished: is this to be a template?
    supervisor to template N New      fork a worker; text: its slot, 1 if there may be others, else 0, and
                                      what it is to be told as M
                           Q Quit     leave
    template to supervisor R Ready    the application is loaded; text: its full name
                           F Failed   the application cannot be loaded, or no worker forked; text: why
                           B Born     a worker was forked by the order with this number; text: its process
                                      id. The supervisor's ends of its ways come along (SCM_RIGHTS)

Frame: one byte of kind, four bytes of number, four bytes of length (both little endian), then UTF-8 text.
The supervisor numbers its orders from 1, so that each is acknowledged by itself; other messages have the
number 0. End of file says that the other process is gone. The worker's end is the engine's from the moment it
serves (`crates/engine/src/orders.rs`), so an order is taken whatever the application does with signals or
with the interpreter. No imports: every process has this module.
"""

from __future__ import annotations


class Kind:
    """A kind of message, made by calling it; its `letter` is what a frame begins with.

    An object and not a class: that takes a tenth of the memory, in each process.
    """

    __slots__ = ("letter",)

    def __init__(self, letter: bytes) -> None:
        self.letter = letter

    def __call__(self, text: str = "", *, number: int = 0) -> Message:
        return Message(self, text, number)


class Message:
    """One message; `number` and `text` as its kind says."""

    __slots__ = ("kind", "number", "text")

    def __init__(self, kind: Kind, text: str, number: int) -> None:
        self.kind = kind
        self.text = text
        self.number = number


Announce = Kind(b"A")
Drain = Kind(b"D")
Quit = Kind(b"Q")
Verbosity = Kind(b"V")
Reopen = Kind(b"O")
Stack = Kind(b"S")
Interrupt = Kind(b"I")
Respond = Kind(b"E")
Greenlets = Kind(b"K")
Clear = Kind(b"C")
Members = Kind(b"M")
Report = Kind(b"U")
Profile = Kind(b"G")
Ready = Kind(b"R")
Failed = Kind(b"F")
Leaving = Kind(b"L")
Taken = Kind(b"T")
Errors = Kind(b"X")
Warmed = Kind(b"W")
Promote = Kind(b"P")
New = Kind(b"N")
Born = Kind(b"B")
Unknown = Kind(b"")
"""What a worker of another version says: an upgrade has left it here, and nobody knows what it means."""

_OF_WORKERS = (Ready, Failed, Leaving, Taken, Report, Warmed, Stack, Errors)
_TO_WORKERS = (
    *(Announce, Drain, Quit, Promote, Verbosity, Reopen, Stack, Interrupt, Respond, Members, Report),
    *(Greenlets, Clear, Profile),
)
_KINDS = {one.letter: one for one in (*_TO_WORKERS, *_OF_WORKERS, New, Born)}
_HEAD_BYTES = 9


def encode(message: Message) -> bytes:
    """Return the frame of `message`."""
    payload = message.text.encode("utf-8", "backslashreplace")
    return (
        message.kind.letter
        + message.number.to_bytes(4, "little")
        + len(payload).to_bytes(4, "little")
        + payload
    )


class Decoder:
    """Frames in, split anywhere; messages out."""

    __slots__ = ("_buffer",)

    def __init__(self, begun: bytes = b"") -> None:
        self._buffer = begun

    @property
    def begun(self) -> bytes:
        """What has come of a frame that is not complete."""
        return self._buffer

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that are complete with `data`."""
        self._buffer += data
        messages: list[Message] = []
        while len(self._buffer) >= _HEAD_BYTES:
            end = _HEAD_BYTES + int.from_bytes(self._buffer[5:_HEAD_BYTES], "little")
            if len(self._buffer) < end:
                break
            kind = _KINDS.get(self._buffer[:1], Unknown)
            text = self._buffer[_HEAD_BYTES:end].decode("utf-8", "backslashreplace")
            messages.append(kind(text, number=int.from_bytes(self._buffer[1:5], "little")))
            self._buffer = self._buffer[end:]
        return messages
