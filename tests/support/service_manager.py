"""A service manager, as the other end of sd_notify(3): a datagram socket, and descriptors that it keeps."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path
from types import TracebackType

DEADLINE_S = 20.0


class Message:
    """One message: its assignments in their order, and the sockets that came with it."""

    def __init__(self, text: str, fds: list[int]) -> None:
        self.lines = text.split("\n")
        self.values = dict(line.split("=", 1) for line in self.lines)
        self.sockets = [socket.socket(fileno=fd) for fd in fds]

    def __repr__(self) -> str:
        return f"{self.lines} with {len(self.sockets)} sockets"


class ServiceManager:
    """Listens at `address`, abstract unless a folder is given; `seen` is all that was read so far."""

    def __init__(self, folder: Path | None = None) -> None:
        name = f"notify-{uuid.uuid4().hex}"
        self.address = f"@{name}" if folder is None else str(folder / name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(("\0" + name) if folder is None else self.address)
        self.socket.settimeout(DEADLINE_S)
        self.seen: list[Message] = []

    def next(self) -> Message:
        """The next message, which is waited for."""
        data, fds, _, _ = socket.recv_fds(self.socket, 65536, 16)
        message = Message(data.decode(), list(fds))
        self.seen.append(message)
        if message.values.get("BARRIER"):
            for one in message.sockets:
                one.close()
        return message

    def wait_for(self, assignment: str) -> Message:
        """The next message with this assignment, such as READY=1, or of this name, such as STATUS."""
        while True:
            try:
                message = self.next()
            except TimeoutError:
                raise AssertionError(f"no {assignment} after {self.seen}") from None
            if assignment in message.lines or assignment in message.values:
                return message

    def rest(self) -> list[Message]:
        """What has come and was not read."""
        self.socket.setblocking(False)
        found = []
        try:
            while True:
                found.append(self.next())
        except BlockingIOError:
            return found
        finally:
            self.socket.settimeout(DEADLINE_S)

    @property
    def states(self) -> list[str]:
        """The states among `seen`, in their order."""
        names = ("READY", "RELOADING", "STOPPING")
        return [name for message in self.seen for name in names if name in message.values]

    def close(self) -> None:
        self.socket.close()
        for message in self.seen:
            for one in message.sockets:
                one.close()
        if self.address.startswith("/"):
            os.unlink(self.address)

    def __enter__(self) -> ServiceManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
