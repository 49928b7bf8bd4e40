"""A socket as the command line needs it, without the module `socket`.

That one makes enums of all constants there are, which takes longer than all the work on sockets of a start.
"""

from __future__ import annotations

import _socket
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    _Socket = TypeVar("_Socket", bound="Socket")


class Socket(_socket.socket):
    """One that is closed where its `with` ends, unless it was taken out of here."""

    __slots__ = ()

    def __enter__(self: _Socket) -> _Socket:
        return self

    def __exit__(self, *raised: Any) -> None:
        self.close()

    def keep(self) -> int:
        """Take the descriptor out of its object: it has to outlive the exec."""
        self.setblocking(False)
        os.set_inheritable(self.fileno(), True)
        return self.detach()
