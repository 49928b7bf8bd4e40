"""What the development server is asked for, and how it gets across the exec to the loop, with the plan.

Made by whoever starts it (the command line, Django's `runserver`, `flask portico`), read by the loop and by
its workers. Values are plain built-in types, as in process/plan.py.
"""

from __future__ import annotations

import marshal

from portico.process.plan import Plan, dump_plan, load_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Source: TypeAlias = "tuple[str, str, dict[str, Any]]"


class Options:
    """What is asked for beside the settings.

    `globs` are files to watch beside those that are imported; relative ones start from the working directory.
    `shows_locals`: pages of errors have the variables of each frame. `opens_browser` once it serves.
    `reloads` when a file changes. `source` is a module, a function in it and its arguments: what makes the
    application where that is not called by its name.
    """

    __slots__ = ("globs", "opens_browser", "reloads", "shows_locals", "source")

    def __init__(
        self,
        *,
        globs: tuple[str, ...] = (),
        opens_browser: bool = False,
        reloads: bool = True,
        shows_locals: bool = False,
        source: Source | None = None,
    ) -> None:
        self.globs = globs
        self.opens_browser = opens_browser
        self.reloads = reloads
        self.shows_locals = shows_locals
        self.source = source


class DevelopmentPlan:
    """All that the loop is told."""

    __slots__ = ("options", "plan")

    def __init__(self, plan: Plan, options: Options) -> None:
        self.plan = plan
        self.options = options


def dump_development_plan(development: DevelopmentPlan) -> bytes:
    """Return `development` as bytes for `load_development_plan`."""
    options = {name: getattr(development.options, name) for name in Options.__slots__}
    return marshal.dumps((dump_plan(development.plan), options))


def load_development_plan(data: bytes) -> DevelopmentPlan:
    """Return the plan that `dump_development_plan` wrote; for bytes from this very program only."""
    plan, options = marshal.loads(data)
    return DevelopmentPlan(load_plan(plan), Options(**options))
