"""What HAProxy says of a server: the responses to `show info` and `show servers state`, read.

The second is a table whose first lines are its version and the names of its columns ("Server-state file
format"); what comes before the first are HAProxy's words to other commands.
"""

from __future__ import annotations

from portico.process.cluster.standing import DRAINING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.cluster.places import Place

READY, IN_MAINTENANCE = "ready", "in maintenance"
# Of srv_admin_state: a person, a command or the agent has asked for it.
_FORCED_MAINTENANCE, _FORCED_DRAIN = 0x01, 0x08
_INFO_BEGINS = "Name: "
_TABLE_BEGINS = "# "
_NO_ADDRESS = "-"


class Server:
    """One server as HAProxy has it: a Unix socket has no `place` there; its `state` is READY,
    DRAINING or IN_MAINTENANCE."""

    __slots__ = ("place", "state")

    def __init__(self, place: Place | None, admin_state: int) -> None:
        self.place = place
        self.state = READY
        if admin_state & _FORCED_MAINTENANCE:
            self.state = IN_MAINTENANCE
        elif admin_state & _FORCED_DRAIN:
            self.state = DRAINING


class Report:
    """A response to commands and then `show info;show servers state`.

    `pid` is the process id of HAProxy: another one has forgotten what it was told. `server` is the one that
    was looked for, if it is there. `words` are what it has to say to the commands before. Raises ValueError
    if it is no such response.
    """

    __slots__ = ("pid", "server", "words")

    def __init__(self, text: str, name: str) -> None:
        before, begins, info = text.partition(_INFO_BEGINS)
        self.words = "; ".join(line.strip() for line in before.splitlines() if line.strip())
        lines = info.splitlines()
        pids = [line for line in lines if line.startswith("Pid: ")]
        heads = [number for number, line in enumerate(lines) if line.startswith(_TABLE_BEGINS)]
        if not begins or not pids or not heads:
            last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
            raise ValueError(last.strip())
        self.pid = int(pids[0].partition(":")[2])
        self.server = _find(name, lines[heads[0]], lines[heads[0] + 1 :])


def _find(name: str, head: str, lines: list[str]) -> Server | None:
    columns = head.removeprefix(_TABLE_BEGINS).split(" ")
    if not {"srv_name", "srv_addr", "srv_port", "srv_admin_state"} <= {*columns}:
        raise ValueError(head)
    for line in lines:
        row = dict(zip(columns, line.split(" "), strict=False))
        if row.get("srv_name") == name and len(row) == len(columns):
            address = row["srv_addr"]
            place = None if address == _NO_ADDRESS else (address, int(row["srv_port"]))
            return Server(place, int(row["srv_admin_state"]))
    return None
