"""Access lines for who develops: time, method, path, status, size, duration, as wide as the terminal.

Receives the engine's lines (the combined format, then seconds), over a pipe, in the loop's process; hands on
text for standard output. All but printable ASCII of what a client has sent is escaped in them already
(`push_escaped` in crates/engine/src/access_log.rs), so no line can be forged.
"""

from __future__ import annotations

import os
import time

_PADDED_PATH = 60
"""A path takes so many columns at least, where there is room, so that lines have what follows in columns."""
_LEAST_PATH = 12
_METHOD = 6
_RESET = "\x1b[0m"
_UNITS = ("B", "K", "M", "G", "T")


def short_line(line: str, *, columns: int, colour: bool) -> str:
    """Return `line` of the engine in short, without a line end; as it is if it is none.

    `columns` is the terminal's width, 0 where there is none: then nothing is padded or left out.
    """
    _, is_access, rest = line.partition('] "')
    request_line, is_whole, rest = rest.partition('" ')
    words = rest.split(" ")
    if not is_access or not is_whole or len(words) < 3:
        return line
    method, target = _method_and_target(request_line)
    status, size, duration = words[0], _size(words[1]), _duration(words[-1])
    now = time.strftime("%H:%M:%S")
    if status == "0":
        status = "---"  # the client has left before there was one
    if not columns:
        return f"{now} {method} {target} {status} {size} {duration}"
    before = f"{now} {method:<{_METHOD}} "
    after = f" {status} {size:>6} {duration:>7}"
    room = max(columns - len(before) - len(after), _LEAST_PATH)
    text = before + _shortened(target, room).ljust(min(room, _PADDED_PATH)) + after
    return f"{_colour(status)}{text}{_RESET}" if colour else text


class AccessLines:
    """Bytes of the engine's log in, in any pieces; lines out, on the descriptor `fd`."""

    def __init__(self, fd: int, *, colour: bool) -> None:
        self._fd = fd
        self._colour = colour
        self._partial = b""

    def feed(self, data: bytes) -> None:
        """Write what `data` completes. Nobody has to read it: then it is lost."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        columns = self._columns()
        texts = [line.decode("ascii", "replace") for line in lines]
        shown = [short_line(text, columns=columns, colour=self._colour) for text in texts]
        if shown:
            try:  # noqa: SIM105 - workers are forked from here, and contextlib costs each 0.4 MB
                os.write(self._fd, "".join(f"{line}\n" for line in shown).encode())
            except OSError:
                pass  # a terminal or pipe that has gone

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._fd).columns
        except OSError:
            return 0


def _method_and_target(request_line: str) -> tuple[str, str]:
    method, _, rest = request_line.partition(" ")
    target, _, version = rest.rpartition(" ")
    return method, target or version or "-"


def _shortened(text: str, room: int) -> str:
    """Leave out the middle of what is too long: a path differs in its end, and is known by its beginning."""
    if len(text) <= room:
        return text
    head = (room - 1) // 2
    return f"{text[:head]}…{text[len(text) - (room - 1 - head) :]}"


def _size(text: str) -> str:
    if not text.isdigit():
        return text
    size = float(text)
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f}{unit}" if unit == "B" or size >= 10 else f"{size:.1f}{unit}"


def _duration(text: str) -> str:
    try:
        duration_s = float(text)
    except ValueError:
        return text
    if duration_s >= 1:
        return f"{duration_s:.1f} s"
    duration_ms = duration_s * 1000
    return f"{duration_ms:.0f} ms" if duration_ms >= 10 else f"{duration_ms:.1f} ms"


def _colour(status: str) -> str:
    return {"2": "\x1b[32m", "3": "\x1b[36m", "4": "\x1b[33m"}.get(status[:1], "\x1b[31m")
