"""The Unix socket of a pool: made by the supervisor that keeps all pools, served by the pool's workers.

It listens before the pool is there, so that requests wait for its start instead of failing, and through its
restarts. Only where a pool could not start it is hidden until that has succeeded: whoever connects is refused
at once then, or has the pool that serves in its place.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OWN_ONLY = 0o177
_MOST_WAITING = 2048


class PoolSocket:
    """A socket that listens at `path`, or is hidden beside it."""

    __slots__ = ("_hidden", "_identity", "fd", "path")

    def __init__(self, path: str, fd: int, *, hidden: str, identity: tuple[int, int]) -> None:
        self.path = path
        self.fd = fd
        # Device and inode of its file.
        self._identity = identity
        # The path where it is until it is shown.
        self._hidden = hidden

    @staticmethod
    def open(path: str, *, owner: tuple[int, int], is_hidden: bool) -> PoolSocket:
        """Listen at `path`; `owner` are the user and the group of who may connect, -1 if it is this process.

        Raises OSError.
        """
        # Not above: `socket` costs more, and only this needs it.
        import _socket

        bound = f"{path}.new" if is_hidden else path
        _remove(bound)
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            umask = os.umask(_OWN_ONLY)
            try:
                listener.bind(bound)
            finally:
                os.umask(umask)
            os.chown(bound, *owner, follow_symlinks=False)
            listener.listen(_MOST_WAITING)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        found = os.lstat(bound)
        identity = (found.st_dev, found.st_ino)
        hidden = bound if is_hidden else ""
        return PoolSocket(path, listener.detach(), hidden=hidden, identity=identity)

    def show(self) -> None:
        """Let everybody connect who may."""
        if self._hidden:
            os.rename(self._hidden, self.path)
            self._hidden = ""

    def stand_at(self, path: str) -> bool:
        """Be at `path`, too, instead of what is there; say whether it is. One that is hidden stays so."""
        if self._hidden:
            return False
        try:
            _remove(f"{path}.new")
            os.link(self.path, f"{path}.new")
            os.rename(f"{path}.new", path)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Listen no longer. What waits in the queue is reset, unless a pool's processes still have it."""
        os.close(self.fd)
        path = self._hidden or self.path
        try:
            found = os.lstat(path)
        except OSError:
            return
        # A pool of the same name may have put its own there.
        if (found.st_dev, found.st_ino) == self._identity:
            _remove(path)

    def hand_over(self) -> dict[str, Any]:
        """Return what the supervisor after an upgrade needs to know."""
        return {"path": self.path, "fd": self.fd, "hidden": self._hidden, "identity": self._identity}


def _remove(path: str) -> None:
    try:  # noqa: SIM105 - contextlib costs the supervisor 0.4 MB
        os.unlink(path)
    except OSError:
        pass  # it is not there, or the directory is gone
