"""Calls of the application that take too long: what is raised in them, and where they stand.

Loaded when there is one (`src/wsgi/ladder.rs`), or when the application names `RequestTimeout`.

Frames of another thread can be looked at only while that thread does not run. The interpreter's lock sees to
it. Without one, reading a frame may crash the process (Python's free-threading HOWTO, "Frame objects"): there
it is `faulthandler` that writes where threads are, which has all of them pause meanwhile.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType

    # File, line and function; and the source of the line.
    _Place = tuple[str, int, str]
    _Line = tuple[str, int, str, str]

_FOLDER = os.path.dirname(os.path.abspath(__file__))
# Below these the first thread, which calls the application too, has come to that.
_STARTERS = tuple(os.path.join(_FOLDER, name, "") for name in ("process", "embedding", "dev", "event_loops"))
# In these it waits for its client, or for a request.
_EVENT_LOOPS = os.path.join(_FOLDER, "event_loops", "")
# Of a stack that is deeper, the innermost frames.
_MOST_FRAMES = 40
# The same for what the supervisor is to know, and of each line of it.
_MOST_SAID = 16
_MOST_CHARACTERS = 240
# Of a file whose lines are shown.
_MOST_SOURCE_BYTES = 1024 * 1024


class RequestTimeout(BaseException):
    """Raised in a call of the application that has kept its client waiting for longer than `timeout`.

    Wherever the call is, once it runs Python code. It is no `Exception`, so that `except Exception` lets it
    pass, and what stands in `finally` and `with` gets `timeout_grace` to clean up. An application that
    catches it may still send a response of its own within that time.
    """

    def __init__(
        self, text: str = "the call has kept its client waiting for longer than the timeout"
    ) -> None:
        super().__init__(text)


# Where applications import it from, and so what tracebacks call it.
RequestTimeout.__module__ = "portico"


def stack_of_thread(ident: int) -> list[_Place]:
    """Return where the thread is that Python knows by this number, the innermost call first.

    File, line and function of each. Nothing if it is in no code of Python's.
    """
    if _has_lock():
        frame = sys._current_frames().get(ident)
        return [] if frame is None else stack_of_frame(frame)
    return stacks_written().get(ident, [])[:_MOST_FRAMES]


def stack_of_frame(frame: FrameType) -> list[_Place]:
    """Return the same of what is in `frame`, and does not run."""
    places: list[_Place] = []
    each: FrameType | None = frame
    while each is not None and len(places) < _MOST_FRAMES:
        places.append((each.f_code.co_filename, each.f_lineno or 0, each.f_code.co_name))
        each = each.f_back
    return places


def stacks_written() -> dict[int, list[_Place]]:
    """Return where all threads are, by their numbers, as `faulthandler` writes it.

    That is a hundred threads, and the innermost hundred calls of each.
    """
    import faulthandler

    fd = _open_memory()
    try:
        # Not into a pipe: no thread would empty it meanwhile.
        faulthandler.dump_traceback(fd, all_threads=True)
        text = os.pread(fd, os.fstat(fd).st_size, 0).decode("ascii", "replace")
    finally:
        os.close(fd)
    stacks: dict[int, list[_Place]] = {}
    places: list[_Place] = []
    for line in text.splitlines():
        if line.startswith('  File "'):
            rest, _, name = line[len('  File "') :].rpartition(" in ")
            file, _, number = rest.rpartition('", line ')
            places.append((_unescaped(file), int(number) if number.isdigit() else 0, _unescaped(name)))
        elif "hread 0x" in line:
            # After `Thread` or `Current thread`.
            places = stacks[int(line.partition("hread 0x")[2].split()[0], 16)] = []
    return stacks


def _has_lock() -> bool:
    # Interpreters before Python 3.13 do not say, and have one.
    return sys.version_info < (3, 13) or sys._is_gil_enabled()


def _open_memory() -> int:
    try:
        return os.memfd_create("portico-stacks")
    except (AttributeError, OSError):
        # A sandbox may not allow it.
        return os.open("/tmp", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)


def _unescaped(text: str) -> str:
    """Return a text as it was before `faulthandler` made it one of ASCII alone."""
    if "\\" not in text:
        return text
    try:
        return text.encode("ascii").decode("unicode_escape")
    except ValueError:
        return text


def describe_place(places: list[_Place]) -> str:
    """Return what the supervisor is to know of a thread that is at `places`, line by line, bounded.

    The innermost line of the application's own code, that is, neither of the standard library nor of an
    installed package, and then the innermost of all: each as file, line, function and source, with tabs
    between; the same twice without code of its own. Then the stack, the outermost call first.
    """
    stack = _stack(places)
    lines = ["\t".join(map(str, each)) for each in (_own(stack), stack[-1])]
    lines += [f"{file}:{line} {name}: {source}" for file, line, name, source in stack[-_MOST_SAID:]]
    return "\n".join(" ".join(line.split("\n"))[:_MOST_CHARACTERS] for line in lines)


def describe_failure(begun: TracebackType | None) -> str:
    """Return the last line of the application's own code in a traceback: file, line, function and source.

    Tabs are between them. Without code of its own it is the last line of all, and nothing without any.
    """
    places: list[_Place] = []
    while begun is not None:
        code = begun.tb_frame.f_code
        places.append((code.co_filename, begun.tb_lineno, code.co_name))
        begun = begun.tb_next
    if not places:
        return ""
    place = "\t".join(map(str, _own(_with_sources(places[-_MOST_FRAMES:]))))
    return " ".join(place.split("\n"))[:_MOST_CHARACTERS]


def describe_stack(places: list[_Place], most_frames: int = _MOST_FRAMES) -> str:
    """Return the stack of a thread that is at `places`, without what has started the server.

    Of a deeper one the innermost `most_frames`.
    """
    lines = []
    for file, line, name, source in _stack(places)[-most_frames:]:
        lines.append(f'  File "{file}", line {line}, in {name}')
        if source:
            lines.append(f"    {source}")
    return "\n".join(lines)


def in_application(places: list[_Place]) -> list[_Place]:
    """Return the same from where the application is; nothing if it was not called.

    A call that waits for its client is in what gives the thread up for that (`portico.event_loops`).
    """
    is_application = (not file.startswith(_EVENT_LOOPS) for file, _, _ in places)
    begins = next((index for index, is_it in enumerate(is_application) if is_it), len(places))
    return places[begins:]


def _stack(places: list[_Place]) -> list[_Line]:
    """Return the lines of a stack, the outermost call first, from where the application begins."""
    places = (in_application(places) or places)[::-1]
    begins = [index + 1 for index, (file, _, _) in enumerate(places) if file.startswith(_STARTERS)]
    return _with_sources(places[max(begins, default=0) :] or places)


def _with_sources(places: list[_Place]) -> list[_Line]:
    """Return the lines at these places.

    By `linecache` where the application has that. It imports much, and each file that is opened beside
    an application that computes waits for it once more: the first look would come when the call is over.
    """
    linecache = sys.modules.get("linecache")
    if linecache is not None:
        return [(file, line, name, linecache.getline(file, line).strip()) for file, line, name in places]
    files = {file: _lines_of(file) for file in {file for file, _, _ in places}}
    return [
        (file, line, name, files[file][line - 1].decode("utf-8", "replace").strip())
        if 0 < line <= len(files[file])
        else (file, line, name, "")
        for file, line, name in places
    ]


def _lines_of(file: str) -> list[bytes]:
    try:
        fd = os.open(file, os.O_RDONLY)
    except OSError:
        # What it was made of is not there: an archive, or `exec`.
        return []
    try:
        return os.read(fd, _MOST_SOURCE_BYTES).split(b"\n")
    except OSError:
        return []
    finally:
        os.close(fd)


def _own(lines: list[_Line]) -> _Line:
    """Return the innermost line of the application's own code; the innermost of all without any."""
    library = os.path.dirname(os.__file__) + os.sep
    return next((each for each in reversed(lines) if not _is_foreign(each[0], library)), lines[-1])


def _is_foreign(filename: str, library: str) -> bool:
    """Say whether a file is no part of the application: of Python, of an installed package, or ours."""
    parts = filename.split(os.sep)
    return (
        filename.startswith(("<", library, _FOLDER + os.sep))
        or "site-packages" in parts
        or "dist-packages" in parts
    )
