"""Hostile clients, all in one event loop: `python soak/hostile.py --port 8000 --kind silent=1000`.

Opens the connections that each kind wants, never faster than its rate, calls the kind when a connection is
there and at its steps, and opens again what the server has closed. Writes `ready` to standard output once
every kind has its connections, and one line of JSON (a tally per kind) at the end: after `--seconds`, or
at TERM. It is to cost little, because it shares a CPU with the client whose latency is measured.

With `--harmless` it does all the same without a server: the other end of each connection is its own.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import select
import signal
import socket
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from hostile_kinds import KINDS, HostileClient, Kind

CONNECT_S = 5.0
LONGEST_STAY_S = 120.0
"""A client that neither reads nor sends may never learn that its server is gone; it begins anew."""
LONGEST_WAIT_S = 0.25
OPENING_WAIT_S = 0.005
LARGEST_BURST = 20
SEGMENT_BYTES = 1400
"""As over Ethernet. With the segments of loopback (64 KiB) the kernel would take megabytes of a response
from the server for each client that does not read."""
IP_BIND_ADDRESS_NO_PORT = 24
"""Of <linux/in.h>; the socket module has no name for it."""
PER_SOURCE_ADDRESS = 10_000
ENDED = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP


@dataclass(slots=True)
class HostileLoad:
    """A kind, how much of it is wanted, and what it has seen."""

    kind: Kind
    wanted: int
    opened: int = 0
    alive: int = 0
    allowance: float = 0.0
    tally: Counter[str] = field(default_factory=Counter)
    steps: deque[tuple[float, HostileClient]] = field(default_factory=deque)
    """Due times; all intervals of a kind are the same, so appending keeps them in order."""
    connecting: deque[tuple[float, HostileClient]] = field(default_factory=deque)
    staying: deque[tuple[float, HostileClient]] = field(default_factory=deque)
    """When each leaves of its own accord."""

    def is_ready(self) -> bool:
        return self.kind.passing or self.opened >= self.wanted

    def take_allowance(self, elapsed_s: float, haste: float) -> int:
        """How many connections may be opened now; `haste` multiplies the rate of held ones."""
        rate = float(self.wanted)
        if not self.kind.passing:
            # What the server ends at once is not opened faster than all of them in a second.
            rate = min(rate, self.kind.opened_per_s) * haste
        self.allowance = min(self.allowance + rate * elapsed_s, LARGEST_BURST)
        # Passing ones are also bounded, for a server that does not let go of them.
        missing = (2 * self.wanted if self.kind.passing else self.wanted) - self.alive
        count = max(0, min(int(self.allowance), missing))
        self.allowance -= count
        return count


class Loop:
    """All connections and their one epoll."""

    def __init__(self, port: int, loads: list[HostileLoad], *, harmless: bool) -> None:
        self._port = port
        self._loads = loads
        self._harmless = harmless
        self._epoll = select.epoll()
        self._clients: dict[int, tuple[HostileLoad, HostileClient]] = {}
        self._numbers = 0
        self._announced = False
        self.stopped = False

    def run(self, seconds: float) -> None:
        """Go on for `seconds`, or until `stopped`; then close everything."""
        last_s = time.monotonic()
        end_s = last_s + seconds
        # Nobody has to be spared where there is no server.
        haste = 4.0 if self._harmless else 1.0
        while not self.stopped and last_s < end_s:
            wait_s = self._wait_s(last_s)
            for fd, events in self._epoll.poll(wait_s, 512):
                found = self._clients.get(fd)
                if found is not None:
                    self._happened(*found, events)
            now_s = time.monotonic()
            for load in self._loads:
                self._do_steps(load, now_s)
                for _ in range(load.take_allowance(now_s - last_s, haste)):
                    self._open(load, now_s)
            last_s = now_s
            if not self._announced and all(load.is_ready() for load in self._loads):
                self._announced = True
                print("ready", flush=True)
        for load, client in list(self._clients.values()):
            load.tally["open at the end"] += 1
            self._close(load, client)

    def _wait_s(self, now_s: float) -> float:
        wait_s = LONGEST_WAIT_S
        for load in self._loads:
            if load.kind.passing or load.alive < load.wanted:
                wait_s = min(wait_s, OPENING_WAIT_S)
            if load.steps:
                wait_s = min(wait_s, load.steps[0][0] - now_s)
        # Steps that are due within a millisecond are done together.
        return max(0.001, wait_s)

    def _open(self, load: HostileLoad, now_s: float) -> None:
        self._numbers += 1
        kind = load.kind
        peer = None
        try:
            if self._harmless:
                own, peer = socket.socketpair()
                own.setblocking(False)
            else:
                own = self._connect(kind)
        except OSError as error:
            load.tally[f"not opened: {errno.errorcode.get(error.errno or 0, error)}"] += 1
            return
        client = HostileClient(kind, load.opened, own, peer)
        load.opened += 1
        load.alive += 1
        self._clients[own.fileno()] = (load, client)
        self._epoll.register(own, select.EPOLLOUT | ENDED)
        load.connecting.append((now_s + CONNECT_S, client))
        load.staying.append((now_s + LONGEST_STAY_S, client))

    def _connect(self, kind: Kind) -> socket.socket:
        own = socket.socket()
        own.setblocking(False)
        if kind.receive_buffer is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, kind.receive_buffer)
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Other source addresses than the honest client's: its ports stay free.
        own.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        own.bind((f"127.0.1.{1 + self._numbers // PER_SOURCE_ADDRESS % 250}", 0))
        status = own.connect_ex(("127.0.0.1", self._port))
        if status not in (0, errno.EINPROGRESS):
            own.close()
            raise OSError(status, os.strerror(status))
        return own

    def _happened(self, load: HostileLoad, client: HostileClient, events: int) -> None:
        try:
            if not client.is_open:
                self._established(load, client)
            elif client.kind.reads and events & select.EPOLLIN:
                self._read(load, client)
            elif events & ENDED:
                self._count_end(load, client, "closed" if events & select.EPOLLERR == 0 else "reset")
        except (ConnectionError, TimeoutError):
            self._count_end(load, client, "reset")

    def _established(self, load: HostileLoad, client: HostileClient) -> None:
        failure = client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            self._count_end(load, client, f"not opened: {errno.errorcode.get(failure, failure)}")
            return
        client.is_open = True
        load.tally["opened"] += 1
        if not client.kind.opened(client):
            self._close(load, client)
            return
        self._epoll.modify(client.socket, (select.EPOLLIN if client.kind.reads else 0) | ENDED)
        if client.kind.step_s:
            load.steps.append((time.monotonic() + client.kind.step_s, client))

    def _read(self, load: HostileLoad, client: HostileClient) -> None:
        data = client.socket.recv(65536)
        if not data:
            self._count_end(load, client, "closed")
        elif not client.has_response:
            client.has_response = True
            load.tally["status " + data[9:12].decode("latin-1") if data[:5] == b"HTTP/" else "no HTTP"] += 1

    def _do_steps(self, load: HostileLoad, now_s: float) -> None:
        while load.connecting and load.connecting[0][0] <= now_s:
            client = load.connecting.popleft()[1]
            if not client.is_open and client.socket.fileno() >= 0:
                self._count_end(load, client, "not opened: in time")
        while load.staying and (load.staying[0][0] <= now_s or load.staying[0][1].socket.fileno() < 0):
            client = load.staying.popleft()[1]
            if client.socket.fileno() >= 0:
                self._count_end(load, client, "left by itself")
        while load.steps and load.steps[0][0] <= now_s:
            client = load.steps.popleft()[1]
            if client.socket.fileno() < 0:
                continue
            try:
                stays = client.kind.step(client)
            except (ConnectionError, TimeoutError):
                self._count_end(load, client, "reset")
                continue
            if stays:
                load.steps.append((now_s + client.kind.step_s, client))
            elif client.kind.passing:
                self._close(load, client)
            else:
                self._count_end(load, client, "closed")

    def _count_end(self, load: HostileLoad, client: HostileClient, how: str) -> None:
        load.tally[how] += 1
        self._close(load, client)

    def _close(self, load: HostileLoad, client: HostileClient) -> None:
        # Closing takes it out of the epoll as well.
        del self._clients[client.socket.fileno()]
        client.socket.close()
        if client.peer is not None:
            client.peer.close()
        load.alive -= 1


def wanted_load(text: str) -> HostileLoad:
    """`silent` or `silent=200`."""
    name, equals, number = text.partition("=")
    if name not in KINDS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(KINDS)}")
    if equals and not (number.isdecimal() and int(number)):
        raise argparse.ArgumentTypeError(f"{number!r} is no number of connections")
    return HostileLoad(KINDS[name], int(number) if equals else KINDS[name].default)


def main() -> None:
    """Parse, run, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True, help="of the server, on 127.0.0.1")
    parser.add_argument("--kind", type=wanted_load, action="append", required=True, metavar="NAME[=N]")
    parser.add_argument("--seconds", type=float, default=60, help="the longest run (default 60)")
    parser.add_argument("--cpu", type=int, help="the only CPU to run on")
    parser.add_argument("--harmless", action="store_true", help="do the same without a server")
    options = parser.parse_args()
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    loop = Loop(options.port, options.kind, harmless=options.harmless)

    def stop(number: int, frame: object) -> None:
        loop.stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    loop.run(options.seconds)
    tallies = {load.kind.name: dict(sorted(load.tally.items())) for load in options.kind}
    print(json.dumps({"tallies": tallies, "cpu_s": round(time.process_time(), 3)}), flush=True)


if __name__ == "__main__":
    main()
