"""An upgrade, as the supervisor makes it that is replaced: it becomes, by exec, what a dry run has tried.

The process stays, and with it its number, its sockets and its children. What else the next supervisor needs
is a record of plain values, which another version of portico under another Python may read (`take_over.py`):

    dry run    the record as it is when the upgrade begins, to be understood, and nothing else
    exec       the record as it is then, the new program's own plan, and signals that nobody has looked at

Imported when an upgrade begins. All signals wait from the moment the record is made until the next supervisor
has its handlers, so none is lost. An exec that fails leaves this supervisor where it was.
"""

from __future__ import annotations

import marshal
import os

from portico import _core
from portico.errors import OperatorError
from portico.process.dry_run import RECORD_VERSION, versions
from portico.process.handed_file import write_file
from portico.process.plan import MARSHAL_FORMAT, dump_listeners, dump_plan
from portico.process.signals import SignalPipe, block_all_signals, block_only

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portico.process.generations import Generations
    from portico.process.life import Life
    from portico.process.observers import Observers
    from portico.process.pools.pools import Pools
    from portico.process.totals import Totals
    from portico.process.upstreams.members import UpstreamMembers
    from portico.process.worker_set import WorkerSet


def hand_over(
    generations: Generations,
    worker_set: WorkerSet,
    scoreboard: _core.Scoreboard,
    life: Life,
    *,
    added: list[tuple[str, str]],
    pools: Pools | None,
    members: UpstreamMembers | None,
    totals: Totals,
    observers: Observers,
) -> dict[str, Any]:
    """Return all that the supervisor in this one's place needs to know of it.

    `added` are the servers that were added to HAProxies (`cluster/`); `members` are those of upstreams;
    `totals` are of workers that are no more.
    """
    memory_fds = scoreboard.descriptors()
    workers = worker_set.workers.values()
    plan = generations.current
    fds = [listener.fd for listener in (*generations.sockets, *plan.control)]
    fds += [] if pools is None else pools.fds
    fds += observers.fds
    if plan.settings.pool is not None and "line_fd" in plan.settings.pool:
        fds.append(plan.settings.pool["line_fd"])
    return {
        "version": RECORD_VERSION,
        **versions(),
        "confirmed": dump_plan(generations.confirmed),
        "settings": plan.settings.values,
        "worker_count": plan.worker_count,
        "control": dump_listeners(plan.control),
        "pid_file": plan.pid_file,
        "listeners": dump_listeners(generations.listeners),
        "admin": dump_listeners(generations.admin),
        "generation": generations.number,
        "wanted": life.wanted,
        "is_announced": life.is_announced,
        "scoreboard": memory_fds,
        "slots": worker_set.slots,
        "workers": [worker.hand_over() for worker in workers],
        "fds": [*fds, *(memory_fds or ()), *(fd for worker in workers for fd in worker.fds)],
        "pools": None if pools is None else pools.hand_over(),
        "members": [] if members is None else members.hand_over(),
        "signals": [],
        "blocked": [],
        "added": added,
        "totals": totals.hand_over(),
        **observers.hand_over(),
    }


def hand_over_file(record: dict[str, Any]) -> int:
    """Return a descriptor that a child reads `record` from. Raises OSError or OperatorError."""
    return write_file(marshal.dumps(record, MARSHAL_FORMAT))


def become(report: dict[str, Any], record: dict[str, Any], signals: SignalPipe) -> str:
    """Become the program of `report`, a dry run's, and hand over `record`; return why that cannot be.

    `record` may hold signals that are to be taken besides those which `signals` has, and which stay there
    if this supervisor does.
    """
    program, numbers = report["program"], report["numbers"]
    fds = [*record["fds"], *numbers.values()]
    file_fd = -1
    blocked = block_all_signals()
    unread = signals.read()
    try:
        record |= {
            "plan": report["plan"],
            "numbers": numbers,
            "is_trial": False,
            "fds": fds,
            "signals": [*unread, *record["signals"]],
            "blocked": [int(number) for number in blocked],
        }
        file_fd = write_file(marshal.dumps((program["import_path"], record), MARSHAL_FORMAT))
        for fd in fds:
            os.set_inheritable(fd, True)
        os.execve(
            program["path"], [*program["before"], str(file_fd), *program["after"]], program["variables"]
        )
    except (OSError, OperatorError) as error:
        why = f"cannot execute {program['path']}: {getattr(error, 'strerror', None) or error}"
    for fd in fds:
        os.set_inheritable(fd, False)
    if file_fd >= 0:
        os.close(file_fd)
    block_only(blocked)
    signals.again(unread)
    return why
