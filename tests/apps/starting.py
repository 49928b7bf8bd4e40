"""Uses and misuses of `start_response` and `write`."""

from __future__ import annotations

import enum
import gc
import json
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, NamedTuple

from apps.recorder import key_of, parameter, pass_gate, record

_TEXT = ("Content-Type", "text/plain")

BAD_CALLS: dict[str, tuple[Any, Any]] = {
    "status-int": (200, [_TEXT]),
    "status-bytes": (b"200 OK", [_TEXT]),
    "status-none": (None, [_TEXT]),
    "status-empty": ("", [_TEXT]),
    "status-two-digits": ("99 Low", [_TEXT]),
    "status-four-digits": ("2000 High", [_TEXT]),
    "status-letters": ("abc OK", [_TEXT]),
    "status-without-space": ("200OK", [_TEXT]),
    "status-crlf": ("200 OK\r\nX-Injected: yes", [_TEXT]),
    "status-lf": ("200 O\nK", [_TEXT]),
    "status-nul": ("200 O\0K", [_TEXT]),
    "headers-tuple": ("200 OK", (_TEXT,)),
    "headers-dict": ("200 OK", dict([_TEXT])),
    "headers-none": ("200 OK", None),
    "header-str": ("200 OK", ["Content-Type: text/plain"]),
    "header-of-three": ("200 OK", [("X-A", "b", "c")]),
    "header-name-bytes": ("200 OK", [(b"X-A", "b")]),
    "header-value-bytes": ("200 OK", [("X-A", b"b")]),
    "header-value-int": ("200 OK", [("Content-Length", 5)]),
    "header-value-none": ("200 OK", [("X-A", None)]),
    "header-name-empty": ("200 OK", [("", "b")]),
    "header-name-space": ("200 OK", [("X A", "b")]),
    "header-name-colon": ("200 OK", [("X-A:", "b")]),
    "header-name-crlf": ("200 OK", [("X-A\r\nX-Injected", "b")]),
    "header-name-latin": ("200 OK", [("X-\xe9", "b")]),
    "header-value-crlf": ("200 OK", [("X-A", "b\r\nX-Injected: yes")]),
    "header-value-lf": ("200 OK", [("X-A", "b\nX-Injected: yes")]),
    "header-value-cr": ("200 OK", [("X-A", "b\rX-Injected: yes")]),
    "header-value-nul": ("200 OK", [("X-A", "b\0c")]),
    "header-value-beyond-latin": ("200 OK", [("X-A", "\u2603")]),
}

HOP_BY_HOP = ("Connection", "keep-alive", "TRANSFER-ENCODING", "Upgrade", "TE", "Proxy-Authenticate")


class CustomError(Exception):
    """What these applications raise."""


class Native(str):
    """A str of its own kind, as frameworks mark text that is safe, or name their statuses."""

    def __str__(self) -> str:
        return "418 Teapot\r\nX-Injected: yes"


class Named(str, enum.Enum):
    """A status of an enumeration."""

    CREATED = "201 Created"


class Pair(NamedTuple):
    """A header as a tuple of its own kind."""

    name: str
    value: str


class Fields(list[Any]):
    """Headers in a list of their own kind."""


GOOD_CALLS: dict[str, tuple[Any, Any]] = {
    "status-of-its-own-kind": (Native("202 Fine"), [_TEXT]),
    "status-of-an-enumeration": (Named.CREATED, [_TEXT]),
    "status-without-reason": ("200", [_TEXT]),
    "status-with-an-empty-reason": ("200 ", [_TEXT]),
    "status-of-its-own-kind-without-reason": (Native("404"), [_TEXT]),
    "header-of-its-own-kind": ("200 OK", [_TEXT, (Native("X-Native"), Native("caf\xe9"))]),
    "length-of-its-own-kind": ("200 OK", [_TEXT, (Native("Content-Length"), Native("8"))]),
    "pair-of-its-own-kind": ("200 OK", [Pair(*_TEXT), Pair("X-Native", "caf\xe9")]),
    "list-of-its-own-kind": ("200 OK", Fields([_TEXT, ("X-Native", "caf\xe9")])),
}


def good_call(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """One call of GOOD_CALLS (`call=`)."""
    start_response(*GOOD_CALLS[parameter(environ, "call")])
    return [b"accepted"]


def bad_call(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """One call of BAD_CALLS (`call=`); records whether the call itself raised, and lets it out."""
    try:
        start_response(*BAD_CALLS[parameter(environ, "call")])
    except Exception as error:
        record(key_of(environ), f"raised {type(error).__name__}")
        raise
    return [b"accepted"]


def hop_by_hop(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Sets the hop-by-hop header `name=`."""
    start_response("200 OK", [_TEXT, (parameter(environ, "name"), "close")])
    return [b"accepted"]


def tells_write(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """What the forms of the call return."""
    forms = {
        "two": start_response("200 OK", [_TEXT]),
        "three": start_response("200 OK", [_TEXT], _an_exc_info()),
    }
    return [json.dumps({name: callable(write) for name, write in forms.items()}).encode()]


def exc_info_by_name(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Gives exc_info as a keyword, None at first."""
    start_response("200 OK", [_TEXT], exc_info=None)
    start_response("201 Named", [_TEXT], exc_info=_an_exc_info())
    return [b"by name"]


def starts_then_waits(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Calls start_response, then waits at a gate before it returns."""
    key = key_of(environ)
    start_response("200 OK", [_TEXT])
    record(key, "started")
    pass_gate(key)
    return [b"after the gate"]


def yields_empty_then_waits(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Empty blocks, a gate, then a real one."""
    key = key_of(environ)
    start_response("200 OK", [_TEXT])
    yield b""
    yield b""
    record(key, "empty blocks taken")
    pass_gate(key)
    yield b"after the gate"


def replaces_after_empty(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Still replaces the head after empty blocks: nothing has left."""
    start_response("200 OK", [_TEXT, ("X-Old", "yes")])
    yield b""
    start_response("503 Replaced", [_TEXT, ("X-New", "yes")], _an_exc_info())
    yield b"replaced"


def writes_then_waits(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The first write() lets the head go, before the application returns."""
    key = key_of(environ)
    write = start_response("200 OK", [_TEXT])
    write(b"first")
    pass_gate(key)
    return [b"second"]


def starts_twice(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Twice without exc_info."""
    start_response("200 OK", [_TEXT])
    try:
        start_response("201 Again", [_TEXT])
    except Exception as error:
        record(key_of(environ), "raised")
        if parameter(environ, "catch"):
            return [type(error).__name__.encode()]
        raise
    return [b"accepted"]


def replaces(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Fails before output and says so with exc_info."""
    start_response("200 OK", [_TEXT, ("X-Old", "yes"), ("Content-Length", "3")])
    try:
        raise CustomError("replaces")
    except CustomError:
        start_response("500 Replaced", [_TEXT, ("X-New", "yes")], sys.exc_info())
    return [b"the replacement"]


def replaces_too_late(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Fails after output; start_response must raise the same exception again."""
    key = key_of(environ)
    start_response("200 OK", [_TEXT])
    yield b"sent already"
    try:
        raise CustomError("too late")
    except CustomError as original:
        try:
            start_response("500 Too Late", [_TEXT], sys.exc_info())
        except BaseException as error:
            record(key, "same" if error is original else f"other: {error!r}")
            raise
    yield b"never"


_watched: dict[str, weakref.ref[Any]] = {}


def replaces_badly(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Fails before output, says so with a bad head, and writes; records what comes of that."""
    write = start_response("200 OK", [_TEXT])
    for use in (lambda: start_response("abc", [_TEXT], _an_exc_info()), lambda: write(b"written")):
        try:
            use()
        except Exception as error:
            record(key_of(environ), f"{type(error).__name__}: {error}")
    return [b"returned"]


def gives_exc_info(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Gives exc_info whose exception is watched by a weak reference."""
    start_response("200 OK", [_TEXT])
    try:
        raise CustomError("watched")
    except CustomError as error:
        _watched[key_of(environ)] = weakref.ref(error)
        start_response("500 Watched", [_TEXT], sys.exc_info())
    return [b"watched"]


def tells_whether_kept(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Whether the exception of gives-exc-info still lives."""
    gc.collect()
    start_response("200 OK", [_TEXT])
    return [b"kept" if _watched[key_of(environ)]() is not None else b"gone"]


def writes(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """write() blocks before the iterable's."""
    write = start_response("200 OK", [_TEXT])
    write(b"1")
    write(b"2")
    return [b"3", b"4"]


def writes_before_one(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """write() and a list of one: its length is not the body's."""
    write = start_response("200 OK", [_TEXT])
    write(b"written ")
    return [b"returned"]


def writes_with_length(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """write() under a Content-Length."""
    write = start_response("200 OK", [_TEXT, ("Content-Length", "8")])
    write(b"1234")
    write(b"5678")
    return []


def writes_only(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Everything by write()."""
    write = start_response("200 OK", [_TEXT])
    write(b"")
    write(b"all ")
    write(b"written")
    return []


def starts_late(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """A generator: start_response is called at the first iteration, with or without a first block."""
    start_response("202 Late", [_TEXT, ("X-Late", "yes")])
    if not parameter(environ, "empty"):
        yield b"late"


def never_starts(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Returns a block without start_response."""
    return [b"no head"]


def writes_str(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """write() of something that is not bytes."""
    start_response("200 OK", [_TEXT])("a str")
    return []


def writes_in_a_thread(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Another thread writes `count=` blocks of `size=` bytes; returns after a gate, whatever that does."""
    key = key_of(environ)
    count, block = int(parameter(environ, "count")), bytes(int(parameter(environ, "size")))
    length = parameter(environ, "length")
    write = start_response("200 OK", [_TEXT, *([("Content-Length", length)] if length else [])])

    def send() -> None:
        try:
            # A loop without bytecodes: no other thread has its turn between two blocks.
            deque(map(write, repeat(block, count)), maxlen=0)
            record(key, "written")
        except (OSError, RuntimeError) as error:
            record(key, type(error).__name__)

    threading.Thread(target=send).start()
    pass_gate(key)
    record(key, "returns")
    return []


class Shown(str):
    """Text that does something when it is shown."""

    deed: Callable[[], object]

    def __repr__(self) -> str:
        self.deed()
        return "shown"


SHOWN_CALLS: dict[str, Callable[[type[str]], tuple[Any, Any]]] = {
    "status": lambda text: (text("99 Low"), [_TEXT]),
    "name": lambda text: ("200 OK", [(text("X A"), "b")]),
    "name-beyond-latin": lambda text: ("200 OK", [(text("X-\u2603"), "b")]),
    "value": lambda text: ("200 OK", [("X-A", text("b\nc"))]),
    "value-beyond-latin": lambda text: ("200 OK", [("X-A", text("\u2603"))]),
    "length": lambda text: ("200 OK", [("Content-Length", text("five"))]),
    "second-length": lambda text: ("200 OK", [("Content-Length", "5"), ("Content-Length", text("5"))]),
}
"""Bad calls of start_response; the text that is bad is of the type given."""


def shows(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The bad call `call=`, whose error does `deed=` when it shows what is bad; records the error."""
    key = key_of(environ)

    def in_a_thread(function: Callable[[], object]) -> None:
        thread = threading.Thread(target=lambda: record(key, f"asked {function()}"))
        thread.start()
        thread.join()

    def start_again(*arguments: Any) -> None:
        start_response(*(arguments or ("201 Inner", [_TEXT])))
        record(key, "started again")

    def wait() -> None:
        record(key, "waits")
        pass_gate(key)

    def fail() -> None:
        raise CustomError("cannot be shown")

    call = SHOWN_CALLS[parameter(environ, "call")](Shown)
    Shown.deed = staticmethod(
        {
            "nothing": lambda: None,
            "starts": start_again,
            "starts-as-badly": lambda: start_again(*call),
            "asks": lambda: in_a_thread(environ["portico.disconnected"]),
            "registers": lambda: in_a_thread(lambda: environ["portico.on_disconnect"](print)),
            "waits": wait,
            "raises": fail,
        }[parameter(environ, "deed")]
    )
    try:
        start_response(*call)
    except Exception as error:
        record(key, f"{type(error).__name__}: {error}")
        raise
    return [b"accepted"]


def _an_exc_info() -> Any:
    try:
        raise CustomError("for exc_info")
    except CustomError:
        return sys.exc_info()


VALID = {
    "tells-write": tells_write,
    "starts-then-waits": starts_then_waits,
    "yields-empty-then-waits": yields_empty_then_waits,
    "replaces-after-empty": replaces_after_empty,
    "writes-then-waits": writes_then_waits,
    "replaces": replaces,
    "gives-exc-info": gives_exc_info,
    "tells-whether-kept": tells_whether_kept,
    "writes": writes,
    "writes-before-one": writes_before_one,
    "writes-only": writes_only,
    "writes-with-length": writes_with_length,
    "starts-late": starts_late,
}

INVALID = {
    "bad-call": bad_call,
    "good-call": good_call,
    "hop-by-hop": hop_by_hop,
    # wsgiref.validate rejects keywords, which PEP 3333 names.
    "exc-info-by-name": exc_info_by_name,
    "starts-twice": starts_twice,
    "replaces-too-late": replaces_too_late,
    "never-starts": never_starts,
    "replaces-badly": replaces_badly,
    "writes-str": writes_str,
    "writes-in-a-thread": writes_in_a_thread,
    "shows": shows,
}
