"""Who holds a port or a Unix socket: found through /proc, so Linux only, among the processes that this user
may look into.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTEN = "0A"  # TCP_LISTEN in include/net/tcp_states.h
_ACCEPTS = 0x10000  # __SO_ACCEPTCON in include/uapi/linux/net.h


def port_owner(port: int) -> str:
    """Return `4242 (python shop.py)` for the process that listens on `port`, or an empty text if unknown."""
    return _holder(_listening_inodes(port))


def unix_owner(name: str) -> str:
    """Return the same for a Unix socket: the path it was bound to, or `@` and an abstract name."""
    return _holder(_unix_inodes(name))


def _holder(inodes: Iterator[str]) -> str:
    targets = {f"socket:[{inode}]" for inode in inodes}
    if not targets:
        return ""
    for pid in sorted(
        (int(name) for name in _entries("/proc") if name.isdigit()), key=lambda pid: pid == os.getpid()
    ):
        for fd in _entries(f"/proc/{pid}/fd"):
            try:
                if os.readlink(f"/proc/{pid}/fd/{fd}") in targets:
                    return f"{pid}{_command(pid)}"
            except OSError:
                continue
    return ""


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                lines = file.read().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            # sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
            words = line.split()
            if words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                yield words[9]


def _unix_inodes(name: str) -> Iterator[str]:
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")[1:]
    except OSError:
        return
    for line in lines:
        # num refcount protocol flags type state inode path
        words = line.split(maxsplit=7)
        if len(words) == 8 and words[7] == name and int(words[3], 16) & _ACCEPTS:
            yield words[6]


def _entries(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().rstrip(b"\0").split(b"\0")
    except OSError:
        return ""
    if b"-c" in words:  # a program is no name
        words = [*words[:1], *words[words.index(b"-c") + 2 :]]
    text = " ".join(word.decode("utf-8", "replace") for word in words)
    return f" ({text[:60] + '...' if len(text) > 60 else text})" if text else ""
