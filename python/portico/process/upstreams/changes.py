"""What was changed of the members of upstreams since the configuration was read, as values.

A change holds for a row as long as that names the same servers (`to`): under another list it would mean
something else. What workers are told is text, which `crates/engine/src/upstream/orders.rs` reads.
"""

from __future__ import annotations

from portico.config.routes.table import Routes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeAlias

    from portico.config.routes.table import Action
    from portico.config.settings import Settings

    Row: TypeAlias = "tuple[str, tuple[str, ...]]"
    """What an upstream is called, and the servers that its row names."""

SERVING = "serving"
DRAINED = "drained"
REMOVED = "removed"
USUAL_WEIGHT = 1


def upstreams_of(settings: Settings) -> dict[str, Action]:
    """Return the upstreams of a plan, by what they are called."""
    return Routes.load(settings.routes).upstreams if settings.routes else {}


def rows_of(settings: Settings) -> list[Row]:
    """Return the rows of the upstreams of a plan."""
    return [(name, tuple(action.values["to"])) for name, action in upstreams_of(settings).items()]


def found_order(upstream: str, place: str, addresses: str) -> str:
    """Return the order that says what a name has now."""
    return f"found\0{upstream}\0{place}\0{addresses}\0"


class Change:
    """What was ordered of a member. `is_added`: the row does not name it; `weight` is 0 if none was said."""

    __slots__ = ("is_added", "state", "weight")

    def __init__(self, state: str = SERVING, *, is_added: bool = False, weight: int = 0) -> None:
        self.state = state
        self.is_added = is_added
        self.weight = weight


class Changes:
    """All of them, by row and member."""

    __slots__ = ("_all",)

    def __init__(self) -> None:
        self._all: dict[Row, dict[str, Change]] = {}

    def of(self, row: Row) -> dict[str, Change]:
        """Return those of `row`, by member."""
        return self._all.get(row, {})

    def places(self, row: Row) -> dict[str, int]:
        """Return what the members are made of, each with its weight; a name stands for its addresses."""
        changes = self.of(row)
        names = [*row[1], *(name for name, change in changes.items() if change.is_added)]
        weights = {name: changes[name].weight if name in changes else 0 for name in names}
        return {
            name: weight or USUAL_WEIGHT
            for name, weight in weights.items()
            if name not in changes or changes[name].state != REMOVED
        }

    def add(self, row: Row, member: str, weight: int, *, is_known: bool) -> str:
        """Let `member` serve, with `weight` if one is said; return the order.

        `is_known`: it is an address of a name, which is not to be looked at beside that.
        """
        change = self._change(row, member)
        was_removed = change.state == REMOVED
        change.state = SERVING
        change.weight = weight or change.weight
        if not is_known and member not in row[1]:
            change.is_added = True
        order = self._order(row, member, change, anew=was_removed)
        if not change.weight and not change.is_added:
            del self._all[row][member]
        return order

    def drain(self, row: Row, member: str) -> str:
        """Let `member` get no more requests; return the order."""
        self._change(row, member).state = DRAINED
        return _order("drain", row, member)

    def remove(self, row: Row, member: str) -> str:
        """Let `member` be none any more; return the order."""
        change = self._change(row, member)
        change.state, change.weight = REMOVED, 0
        if change.is_added:
            del self._all[row][member]
        return _order("remove", row, member)

    def orders(self, rows: Iterable[Row]) -> str:
        """Return what makes the members of a worker that has these rows what they are to be."""
        orders: list[str] = []
        for row in rows:
            for member, change in self.of(row).items():
                if change.state == REMOVED:
                    orders.append(_order("remove", row, member))
                    continue
                orders.append(self._order(row, member, change))
                if change.state == DRAINED:
                    orders.append(_order("drain", row, member))
        return "".join(orders)

    def keep(self, rows: Iterable[Row]) -> None:
        """Keep those of `rows` alone."""
        kept = {*rows}
        self._all = {row: changes for row, changes in self._all.items() if row in kept}

    @property
    def changed_rows(self) -> list[Row]:
        """The rows of which anything was changed."""
        return [row for row, changes in self._all.items() if changes]

    def __bool__(self) -> bool:
        return any(self._all.values())

    def hand_over(self) -> list[Any]:
        """Return them as plain values for `take_over`."""
        return [
            [
                name,
                list(to),
                [[member, each.state, each.is_added, each.weight] for member, each in of.items()],
            ]
            for (name, to), of in self._all.items()
            if of
        ]

    def take_over(self, record: list[Any]) -> None:
        """Have what `hand_over` has written, perhaps under another version."""
        for name, to, changes in record:
            self._all[name, tuple(to)] = {
                member: Change(state, is_added=is_added, weight=weight)
                for member, state, is_added, weight in changes
            }

    def _change(self, row: Row, member: str) -> Change:
        return self._all.setdefault(row, {}).setdefault(member, Change())

    def _order(self, row: Row, member: str, change: Change, *, anew: bool = False) -> str:
        """Return the order by which `member` serves; one that was removed is listed `anew`."""
        is_place = change.is_added or member in row[1]
        if change.is_added or (is_place and anew):
            return _order("add", row, member, change.weight or USUAL_WEIGHT)
        return _order("back", row, member, change.weight)


def _order(what: str, row: Row, member: str, weight: int = 0) -> str:
    return f"{what}\0{row[0]}\0{member}\0{weight or ''}\0"
