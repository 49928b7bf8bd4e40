"""This host as a server of one HAProxy: added, made ready, drained and removed.

In each conversation HAProxy is told what is still to be done, and asked what it has: what counts is what is
there. It is looked at now and again, since a new process of HAProxy has forgotten servers that were added.
What a person tells HAProxy of the server meanwhile is left alone.

    wanted READY             add server, or set its address; set state ready
    wanted DRAINING          set state drain
    wanted IN_MAINTENANCE    set state maint
    wanted GONE              set state maint; del server, if it was added here
"""

from __future__ import annotations

from portico import log
from portico.errors import quoted
from portico.process.cluster.conversation import Conversation
from portico.process.cluster.servers import IN_MAINTENANCE, READY, Report
from portico.process.cluster.standing import DRAINING, GONE
from portico.process.loop import NEVER_S, Duty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.cluster.entry import Entry
    from portico.process.cluster.places import Place
    from portico.process.cluster.servers import Server
    from portico.process.loop import Loop

UNKNOWN = "unknown"
# Between two looks at what HAProxy has.
_LOOK_S = 5.0
# Between two tries.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 15.0


class Member(Duty):
    """This host in one HAProxy, as `entry` says; `has_added`: it was added here, and is to be deleted."""

    __slots__ = (
        *("_conversation", "_end", "_failure", "_is_out_of_reach", "_loop", "_next_s", "_pause_s", "_pid"),
        *("_reached", "_server", "_ordered", "_tried", "_wanted", "entry", "has_added"),
    )

    def __init__(self, loop: Loop, entry: Entry, *, has_added: bool = False) -> None:
        """`has_added` says that HAProxy has the server because it was added by this supervisor, before."""
        self.entry = entry
        self._loop = loop
        self._conversation: Conversation | None = None
        # What HAProxy has had last, and its process then; our end of the connection. None before the first.
        self._end: Place | None = None
        self._server: Server | None = None
        self._pid = 0
        self.has_added = has_added
        self._wanted = self._reached = UNKNOWN
        # What the commands of the latest conversation were for, and what was tried and has failed.
        self._ordered = self._tried = UNKNOWN
        # Whether it could not be reached when it was to stop sending: a stop waits for such a one only once.
        self._is_out_of_reach = False
        self._failure = ""
        self._pause_s = _FIRST_PAUSE_S
        self._next_s = NEVER_S

    def want(self, wanted: str, now_s: float) -> None:
        """Have HAProxy take this host as `wanted` from now on."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._begin(now_s)

    def renew(self, entry: Entry, now_s: float) -> None:
        """Be the same server, but as `entry` says."""
        if entry != self.entry:
            self.entry = entry
            self._begin(now_s)

    @property
    def is_settled(self) -> bool:
        """Whether HAProxy does as is wanted, or cannot be told."""
        return self._is_out_of_reach or self._wanted in (UNKNOWN, self._reached, self._tried)

    @property
    def has_left(self) -> bool:
        """Whether HAProxy has it no longer, or could not be told for so long that it may have gone itself."""
        return self._wanted == GONE and (self._reached == GONE or self._pause_s == _LONGEST_PAUSE_S)

    def look(self, now_s: float) -> None:
        if self._conversation is not None:
            self._conversation.look(now_s)
            if self._conversation.is_over:
                conversation, self._conversation = self._conversation, None
                self._hear(conversation, now_s)
        if self._conversation is None and now_s >= self._next_s:
            self._next_s = NEVER_S
            self._talk(now_s)

    def due_s(self) -> float | None:
        if self._conversation is None:
            return self._next_s
        return 0.0 if self._conversation.is_over else self._conversation.until_s

    def report(self) -> dict[str, str]:
        """Return what `portico ctl status` tells: how HAProxy takes this host, and if not as wanted, why."""
        is_done = self._wanted == self._reached
        return {
            "is": "HAProxy",
            "at": self.entry.address,
            "name": self.entry.name,
            "state": self._reached if is_done else f"not {self._wanted} yet",
            "why": self._failure,
        }

    def close(self) -> None:
        """In a forked process: let go of the connection."""
        if self._conversation is not None:
            self._conversation.close()

    def _begin(self, now_s: float) -> None:
        self._reached = self._tried = UNKNOWN
        self._failure = ""
        self._pause_s = _FIRST_PAUSE_S
        self._next_s = NEVER_S if self._wanted == UNKNOWN else now_s

    def _talk(self, now_s: float) -> None:
        commands = self._commands()
        self._ordered = self._wanted if commands else UNKNOWN
        line = ";".join([*commands, *self.entry.looking()])
        self._conversation = Conversation(self._loop, self.entry.api, line, now_s=now_s)

    def _commands(self) -> list[str]:
        """Return what is still to be done, by what HAProxy has had last; nothing if that is not known."""
        if self._end is None or self._wanted == self._reached:
            return []
        if self._wanted == READY:
            return self.entry.joining(self._server, self._end)
        if self._server is None:
            return []
        if self._wanted == DRAINING:
            return self.entry.draining()
        return self.entry.leaving(is_deleted=self._wanted == GONE and self.has_added)

    def _hear(self, conversation: Conversation, now_s: float) -> None:
        if conversation.failure:
            # What HAProxy has now is not known.
            self._end = None
            self._is_out_of_reach = self._wanted != READY
            self._fail(conversation.failure, now_s)
            return
        try:
            report = Report(conversation.reply, self.entry.server)
        except ValueError as error:
            self._fail(quoted(str(error)), now_s)
            return
        is_new = self._ordered == READY and self._server is None
        self.has_added = report.server is not None and (self.has_added or is_new)
        self._end, self._server = conversation.end, report.server
        self._is_out_of_reach = False
        if report.pid != self._pid:
            # It knows nothing of what the process before was told.
            self._pid, self._reached = report.pid, UNKNOWN
        if self._is_done():
            self._succeed(now_s)
        elif self._ordered == self._wanted:
            self._fail(quoted(report.words), now_s)
        else:
            # Only now it is known what there is to do.
            self._reached = UNKNOWN
            self._next_s = now_s

    def _is_done(self) -> bool:
        server = self._server
        if self._wanted == READY:
            if server is None or self._end is None or not self.entry.is_at(server, self._end):
                return False
            # Once it was ready, it is a person's who has changed that.
            return self._reached == READY or server.state == READY
        if server is None:
            return True
        if self._wanted == GONE:
            return server.state == IN_MAINTENANCE and not self.has_added
        return server.state in (self._wanted, IN_MAINTENANCE)

    def _succeed(self, now_s: float) -> None:
        if self._reached != self._wanted:
            self._reached = self._wanted
            if self._wanted != GONE or self._server is None:
                log.info(f"cluster: HAProxy at {self.entry.address}: {self.entry.name} is {self._wanted} now")
        self._failure = ""
        self._pause_s = _FIRST_PAUSE_S
        self._next_s = NEVER_S if self._wanted == GONE else now_s + _LOOK_S

    def _fail(self, why: str, now_s: float) -> None:
        # One that is to be deleted may have connections for a moment more.
        is_early = self._wanted == GONE and self._end is not None and self._pause_s == _FIRST_PAUSE_S
        if why != self._failure and not is_early:
            self._failure = why
            log.warning(
                f"cluster: HAProxy at {self.entry.address}: expected {self.entry.name} to be {self._wanted}, "
                f"got {why}; trying again"
            )
        if self._wanted != GONE or self._end is None:
            self._tried = self._wanted
        self._next_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
