"""Prints crates/engine/tests/support/settings.txt: the engine's settings and defaults, for its own tests.

`make docs` writes it, a test keeps it true. Lists are comma-separated.
"""

from __future__ import annotations

from portico import _core
from portico.config.settings import Settings


def defaults_page() -> str:
    """Return a line `name = value` for each setting that the engine reads."""
    lines = []
    for name in _core.setting_names():
        row = getattr(Settings, name)
        value = row.default
        shown = ",".join(value) if isinstance(value, tuple) else value
        if isinstance(value, bool):
            shown = row.kind.show(value)
        lines.append(f"{name} = {shown}".rstrip())
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(defaults_page(), end="")
