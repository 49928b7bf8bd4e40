"""A receiver of StatsD: what it is sent it adds up, as the real ones do."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections import defaultdict
from pathlib import Path
from types import TracebackType

_LINE = re.compile(r"([^:|\n]+):(-?[0-9.]+)\|(c|g|ms|h)(?:\|@([0-9.]+))?(?:\|#(.+))?")
_BUFFER_BYTES = 4 * 1024 * 1024


class StatsdReceiver:
    """Takes datagrams at `place`, a port of `host` or the path of a socket, from the `with` on."""

    def __init__(self, place: int | Path, *, host: str = "127.0.0.1") -> None:
        self.place = place
        self._host = host
        self.datagrams: list[bytes] = []
        self.counts: dict[str, float] = defaultdict(float)
        self.gauges: dict[str, float] = {}
        self.timings: dict[str, float] = defaultdict(float)
        """How many observations there were, as the rates say."""
        self.sums: dict[str, float] = defaultdict(float)
        self.tags: dict[str, set[str]] = defaultdict(set)
        self.wrong: list[str] = []
        self._lock = threading.Lock()

    def __enter__(self) -> StatsdReceiver:
        is_port = isinstance(self.place, int)
        self._socket = socket.socket(socket.AF_INET if is_port else socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._socket.bind((self._host, self.place) if is_port else str(self.place))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._is_open = True
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        if isinstance(self.place, Path):
            self.place.unlink()

    @property
    def address(self) -> str:
        """As the setting has it."""
        return f"{self._host}:{self.place}" if isinstance(self.place, int) else f"unix:{self.place}"

    def _run(self) -> None:
        self._socket.settimeout(0.05)
        while True:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                if not self._is_open:
                    return
                continue
            except OSError:
                return
            if data:
                self.take(data)
            elif not self._is_open:
                return

    def take(self, data: bytes) -> None:
        """Add up the lines of a datagram."""
        with self._lock:
            self.datagrams.append(data)
            for line in data.decode().split("\n"):
                found = _LINE.fullmatch(line)
                if found is None:
                    self.wrong.append(line)
                    continue
                name, value, kind, rate, tags = found.groups()
                each = 1 / float(rate or 1)
                self.tags[name].add(tags or "")
                if kind == "c":
                    self.counts[name] += float(value) * each
                elif kind == "g":
                    before = self.gauges.get(name, 0.0) if value.startswith("-") and not tags else 0.0
                    self.gauges[name] = before + float(value)
                else:
                    self.timings[name] += each
                    self.sums[name] += float(value) * each
