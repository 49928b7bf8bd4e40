"""Prints docs/settings.md from the table of settings; `make docs` writes it, a test keeps it true."""

from __future__ import annotations

from portico.config.settings import TABLE

HEAD = """# Settings

Generated from `python/portico/config/settings.py` by `make docs`. Each setting is an option of
`portico run` and an environment variable; the command line wins over the environment. Sizes are written
like `64K`, `10M` or `1G`, durations like `500ms`, `30s` or `2m`.

| setting | option | environment | default | meaning |
|---|---|---|---|---|
"""

SEPARATORS = {",": "commas", ":": "colons"}


def settings_page() -> str:
    """Return the page as Markdown."""
    lines = []
    for row in TABLE:
        options = ", ".join(f"`{flag}`" for flag in row.flags) or "first argument"
        environment = ", ".join(f"`{name}`" for name in row.environment)
        default = row.show_default()
        meaning = row.documentation.replace("|", "\\|")
        if row.many:
            meaning += f" In the environment separated by {SEPARATORS[row.separator]}."
        lines.append(
            f"| {row.name} | {options} | {environment} | {f'`{default}`' if default else ''} | {meaning} |"
        )
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(settings_page(), end="")
