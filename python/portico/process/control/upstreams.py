"""Verbs about the members of upstreams. All ask the workers, which tell at once; nobody is waited for."""

from __future__ import annotations

from portico import _core
from portico.errors import quoted
from portico.process.control.actions import expect_serving, flag, say
from portico.process.control.verb_error import VerbError
from portico.process.upstreams.changes import DRAINED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from portico.process.control.json_lines import Scalar
    from portico.process.control.subject import Subject
    from portico.process.upstreams.changes import Row
    from portico.process.upstreams.members import UpstreamMembers
    from portico.process.upstreams.survey import MemberReport, Survey

    Request = dict[str, Scalar]
    Result = dict[str, Any]
    Outcome = Callable[[], Result | None]

MOST_WEIGHT = 65535
# Between two looks whether a member has requests left.
_PAUSE_S = 0.1
_COUNTED = ("in_flight", "requests", "failures")


def upstreams(subject: Subject, request: Request, now_s: float) -> Outcome:
    """Return all members of all upstreams, as the workers see them."""
    members = subject.members()
    survey = _ask(members)

    def outcome() -> Result | None:
        if not survey.has_ended:
            return None
        reports = [*survey.reports()]
        return {
            "upstreams": [_upstream(members, row, reports) for row in members.rows.values()],
            "unheard": [worker.pid for worker in survey.unheard],
        }

    return outcome


def add(subject: Subject, request: Request, now_s: float) -> Result | Outcome:
    """Let a `member` of `upstream` get requests: a new one, or one that was drained."""
    members, row, member = _subject_of(subject, request)
    name = row[0]
    weight = _weight(request)
    change = members.changes.of(row).get(member)

    def do(is_known: bool) -> Result | Outcome:
        is_place = member in members.changes.places(row)
        if (is_known or is_place) and (change is None or change.state != DRAINED):
            raise VerbError("rejected", f"member: expected one that {name} does not have yet, got {member}")
        if member.startswith("srv+") and not members.asks_dns(row):
            raise VerbError(
                "rejected",
                f"member: expected none of SRV records, since the resolver of {name} is system, got {member}",
            )
        say(f"upstream add {name} {member}{f' {weight}' if weight else ''}")
        # One that was removed from a name is an address of it all the same.
        is_address = (is_known or change is not None) and not is_place and not _is_listed(row, member, change)
        taken = members.tell(members.changes.add(row, member, weight, is_known=is_address))
        result = {"upstream": name, "member": member, "state": "up"}
        return _when_taken(request, taken, result)

    return _knowing(members, row, member, do)


def drain(subject: Subject, request: Request, now_s: float) -> Result | Outcome:
    """Let a `member` of `upstream` get no more requests; wait until those that it has are done."""
    members, row, member = _subject_of(subject, request)

    def do(is_known: bool) -> Result | Outcome:
        _expect_member(members, row, member, is_known)
        say(f"upstream drain {row[0]} {member}")
        taken = members.tell(members.changes.drain(row, member))
        return _when_idle(members, request, taken, row[0], member, "draining")

    return _knowing(members, row, member, do)


def remove(subject: Subject, request: Request, now_s: float) -> Result | Outcome:
    """Let a `member` be none of `upstream` any more; wait until the requests that it has are done."""
    members, row, member = _subject_of(subject, request)

    def do(is_known: bool) -> Result | Outcome:
        _expect_member(members, row, member, is_known)
        say(f"upstream remove {row[0]} {member}")
        taken = members.tell(members.changes.remove(row, member))
        return _when_idle(members, request, taken, row[0], member, "removed")

    return _knowing(members, row, member, do)


# --- What is asked for


def _subject_of(subject: Subject, request: Request) -> tuple[UpstreamMembers, Row, str]:
    """Return the members, the upstream and the member of a request."""
    expect_serving(subject)
    members = subject.members()
    rows, name, text = members.rows, request.get("upstream"), request.get("member")
    if not isinstance(name, str) or not isinstance(text, str):
        raise VerbError("bad-request", "expected upstream and member, both texts")
    if name not in rows:
        there = f"one of {', '.join(rows)}" if rows else "none, since the server has no [[upstream]]"
        raise VerbError("rejected", f"upstream: expected {there}, got {quoted(name)}")
    try:
        return members, rows[name], _core.read_member(text)[0]
    except ValueError as error:
        raise VerbError("rejected", f"member: {error}") from None


def _weight(request: Request) -> int:
    weight = request.get("weight")
    if weight is None:
        return 0
    if not isinstance(weight, int) or isinstance(weight, bool) or not 1 <= weight <= MOST_WEIGHT:
        raise VerbError(
            "rejected", f"weight: expected a whole number from 1 to {MOST_WEIGHT}, got {weight!r}"
        )
    return weight


def _is_listed(row: Row, member: str, change: Any) -> bool:
    return member in row[1] or (change is not None and change.is_added)


def _expect_member(members: UpstreamMembers, row: Row, member: str, is_known: bool) -> None:
    places = members.changes.places(row)
    if not is_known and member not in places:
        there = f"one of {', '.join(places)}" if places else "none, since all were removed"
        raise VerbError("rejected", f"member: expected {there}, got {member}")


# --- What the workers say


def _ask(members: UpstreamMembers) -> Survey:
    survey = members.ask()
    members.wake(_patience_s())
    return survey


def _patience_s() -> float:
    from portico.process.upstreams.survey import PATIENCE_S

    return PATIENCE_S


def _knowing(
    members: UpstreamMembers, row: Row, member: str, do: Callable[[bool], Result | Outcome]
) -> Result | Outcome:
    """Return what `do` does, once it is known whether a worker has `member`: perhaps as a name's address."""
    places = members.changes.places(row)
    if member in places or not any(_core.read_member(place)[1] for place in places):
        return do(False)
    survey = _ask(members)
    begun: list[Outcome] = []

    def outcome() -> Result | None:
        if begun:
            return begun[0]()
        if not survey.has_ended:
            return None
        there = (report for report in survey.reports() if report.state != "leaving")
        done = do(any(report.is_about(row[0], member) for report in there))
        if not callable(done):
            return done
        begun.append(done)
        return done()

    return outcome


def _when_taken(request: Request, taken: Callable[[], bool], result: Result) -> Result | Outcome:
    if not flag(request, "wait", default=True):
        return result
    return lambda: result if taken() else None


def _when_idle(
    members: UpstreamMembers,
    request: Request,
    taken: Callable[[], bool],
    upstream: str,
    member: str,
    state: str,
) -> Result | Outcome:
    """Return what waits until no worker has a request at `member`."""
    result = {"upstream": upstream, "member": member, "state": state}
    if not flag(request, "wait", default=True):
        return result
    surveys: list[Survey] = []

    def outcome() -> Result | None:
        if not taken():
            return None
        if not surveys:
            surveys.append(_ask(members))
        if not surveys[0].has_ended:
            return None
        unheard = surveys[0].unheard
        reports = surveys[0].reports()
        in_flight = sum(each.in_flight for each in reports if each.is_about(upstream, member))
        if in_flight or unheard:
            members.wake(_PAUSE_S)
            surveys[:] = []
            return None
        return result

    return outcome


def _upstream(members: UpstreamMembers, row: Row, reports: Iterable[MemberReport]) -> Result:
    """Return one upstream: all members that a worker has, and places where none has any."""
    name, to = row
    found: dict[tuple[str, str], list[MemberReport]] = {}
    for report in reports:
        if report.upstream == name:
            found.setdefault((report.member, report.of), []).append(report)
    listed = [_member(member, of, to, each) for (member, of), each in found.items()]
    known = {place for key in found for place in key}
    listed += [
        {"member": place, "from": _from(place, "", to), "state": "unknown", "workers": {}, "weight": weight}
        | dict.fromkeys(_COUNTED, 0)
        for place, weight in members.changes.places(row).items()
        if place not in known
    ]
    return {"name": name, "members": listed}


def _member(member: str, of: str, to: Iterable[str], reports: list[MemberReport]) -> Result:
    states: dict[str, int] = {}
    for report in reports:
        states[report.state] = states.get(report.state, 0) + 1
    return {
        "member": member,
        "from": _from(member, of, to),
        "state": reports[0].state if len(states) == 1 else "mixed",
        "workers": states,
        "weight": reports[-1].weight,
        **{name: sum(getattr(report, name) for report in reports) for name in _COUNTED},
    }


def _from(member: str, of: str, to: Iterable[str]) -> str:
    """Return where a member comes from: a name that has its address, the configuration, or a client."""
    return of or ("configuration" if member in to else "control")
