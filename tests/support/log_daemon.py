"""A log daemon that takes datagrams, and strict readers of what it gets: syslog's forms and the journal's."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from pathlib import Path
from typing import NamedTuple

from support.waiting import wait_until

_MOST_BYTES = 1 << 20
LEVELS = {3: "err", 4: "warning", 6: "info"}
_LOCAL = re.compile(rb"<(\d{1,3})>([!-~]{1,32}?)\[(\d+)\]: ([\x20-\x7e]+)")
_REMOTE = re.compile(
    rb"<(\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ([!-~]{1,255}) ([!-~]{1,48}) (\d+) - - "
    rb"([\x20-\x7e]+)"
)
_NAME = re.compile(rb"[A-Z][A-Z0-9_]{0,63}")


class Record(NamedTuple):
    """One record of syslog."""

    facility: int
    level: str
    tag: str
    process: int
    text: str


class LogDaemon:
    """A socket that datagrams come to; nobody reads it before `drain`."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.datagrams: list[bytes] = []
        self.listen()

    def listen(self) -> None:
        """Be there, as after a start."""
        self._socket = socket.socket(socket.AF_UNIX if self.path else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self.path) if self.path else ("127.0.0.1", 0))

    @property
    def port(self) -> int:
        """Where it listens, where that is UDP."""
        return int(self._socket.getsockname()[1])

    def leave(self) -> None:
        """Be gone, after what is there was read."""
        if self._socket.fileno() >= 0:
            self.drain()
        self._socket.close()
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def drain(self) -> int:
        """Read all that is there; returns how many datagrams have come by now."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.datagrams.append(self._socket.recv(_MOST_BYTES))
        return len(self.datagrams)

    def wait_for(self, count: int) -> list[bytes]:
        """Wait for so many datagrams; returns all, of which there are no more."""
        wait_until(lambda: self.drain() >= count, what=f"{count} datagrams")
        assert len(self.datagrams) == count
        return self.datagrams


def record(datagram: bytes) -> Record:
    """A record as syslog(3) writes it, but for the date (RFC 3164 4.1)."""
    found = _LOCAL.fullmatch(datagram)
    assert found, datagram
    priority, tag, process, text = found.groups()
    return _record(priority, tag, process, text)


def network_record(datagram: bytes) -> Record:
    """A record of RFC 5424, by this host."""
    found = _REMOTE.fullmatch(datagram)
    assert found, datagram
    priority, host, tag, process, text = found.groups()
    assert host.decode() == socket.gethostname()
    return _record(priority, tag, process, text)


def _record(priority: bytes, tag: bytes, process: bytes, text: bytes) -> Record:
    facility, level = divmod(int(priority), 8)
    return Record(facility, LEVELS[level], tag.decode(), int(process), text.decode())


def entry(datagram: bytes) -> dict[str, str]:
    """An entry of the journal (systemd.io/JOURNAL_NATIVE_PROTOCOL), in which no name is there twice."""
    fields: dict[str, str] = {}
    rest = datagram
    while rest:
        line, end, after = rest.partition(b"\n")
        assert end, "a field without its line end"
        assert line, "the end of an entry before that of its datagram"
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(after[:8], "little")
            value, after = after[8 : 8 + size], after[8 + size :]
            assert after[:1] == b"\n"
            after = after[1:]
        assert _NAME.fullmatch(name), name
        assert name.decode() not in fields
        fields[name.decode()] = value.decode()
        rest = after
    return fields
