"""A service manager, as the other end of sd_notify(3): a datagram socket, and descriptors that it keeps."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import uuid
from pathlib import Path
from types import TracebackType

DEADLINE_S = 20.0


class Message:
    """One message: its assignments in their order, and the sockets that came with it."""

    def __init__(self, text: str, fds: list[int]) -> None:
        self.lines = text.split("\n")
        self.values = dict(line.split("=", 1) for line in self.lines)
        self.sockets: list[socket.socket] = []
        if "BARRIER" in self.values:
            # A pipe: its end says that all before it has been done.
            for fd in fds:
                os.close(fd)
        else:
            self.sockets = [socket.socket(fileno=fd) for fd in fds]

    def __repr__(self) -> str:
        return f"{self.lines} with {len(self.sockets)} sockets"


class ServiceManager:
    """Listens at `address`, which is abstract or that of a file.

    `seen` is all that was read so far, `kept` the sockets that it has been given and not asked to give up.
    """

    def __init__(self, *, is_file: bool = False) -> None:
        name = f"notify-{uuid.uuid4().hex}"
        # The folders of tests may be deep, and a socket's address is not longer than 107 bytes (unix(7)).
        self._folder = Path(tempfile.mkdtemp(dir="/tmp")) if is_file else None
        self.address = f"@{name}" if self._folder is None else str(self._folder / name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(("\0" + name) if self._folder is None else self.address)
        self.socket.settimeout(DEADLINE_S)
        self.seen: list[Message] = []
        self.kept: dict[str, socket.socket] = {}

    def next(self) -> Message:
        """The next message, which is waited for."""
        data, fds, _, _ = socket.recv_fds(self.socket, 65536, 16)
        message = Message(data.decode(), list(fds))
        self.seen.append(message)
        name = message.values.get("FDNAME", "")
        if "FDSTORE" in message.values and name not in self.kept:
            # Not by the method of the socket, which would make it wait for all who share it.
            self.kept[name] = socket.socket(fileno=os.dup(message.sockets[0].fileno()))
        elif "FDSTOREREMOVE" in message.values and name in self.kept:
            self.kept.pop(name).close()
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

    def forget(self) -> None:
        """Begin `seen` anew."""
        for message in self.seen:
            for one in message.sockets:
                one.close()
        self.seen.clear()

    def close(self) -> None:
        self.socket.close()
        self.forget()
        for one in self.kept.values():
            one.close()
        if self._folder is not None:
            shutil.rmtree(self._folder)

    def __enter__(self) -> ServiceManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
