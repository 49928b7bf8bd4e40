"""Prints docs/settings.md from the table of settings; `make docs` writes it, a test keeps it true."""

from __future__ import annotations

from typing import Any

from links import with_links_to_pages
from portico.config.file import ARRAYS
from portico.config.kinds import Flag
from portico.config.setting import Group, Setting
from portico.config.settings import by_group

HEAD = """# Settings

Generated from `python/portico/config/settings` by `make docs`. Each setting is an option of
`portico run`, an environment variable, and a key of the [configuration file](configuration.md); the command
line wins over the environment, and that over the file. Sizes are written like `64K`, `10M` or `1G`, durations
like `500ms`, `30s` or `2m`, and in the environment yes and no like `true` and `false`.
"""

TABLE_HEAD = """
## {title}

In the file: `{header}`.

| setting | option | environment | default | meaning |
|---|---|---|---|---|
"""

SEPARATORS = {",": "commas", ":": "colons"}


def settings_page() -> str:
    """Return the page as Markdown: one table for each group."""
    return HEAD + "".join(
        TABLE_HEAD.format(title=group.title.capitalize(), header=_header(group)) + "".join(map(_line, rows))
        for group, rows in by_group().items()
    )


def _header(group: Group) -> str:
    return f"[[{group.table}]]" if group.table in ARRAYS else f"[{group.table}]"


def _line(row: Setting[Any]) -> str:
    flags = [*row.flags, *(map(row.kind.opposite, row.flags) if isinstance(row.kind, Flag) else ())]
    options = ", ".join(f"`{flag}`" for flag in flags) or "first argument"
    environment = ", ".join(f"`{name}`" for name in row.environment)
    default = row.show_default()
    meaning = with_links_to_pages(row.documentation.replace("|", "\\|"))
    if row.key != row.name:
        meaning += f" In the file it is `{row.key}`."
    if row.many:
        meaning += f" In the environment separated by {SEPARATORS[row.separator]}."
    return f"| {row.name} | {options} | {environment} | {f'`{default}`' if default else ''} | {meaning} |\n"


if __name__ == "__main__":
    print(settings_page(), end="")
