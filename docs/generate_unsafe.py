"""Prints docs/unsafe.md from the Rust sources; `make docs` writes it, a test keeps it true.

It fails, naming each place, when an `unsafe` has no `SAFETY:` comment or no
`#[expect(unsafe_code, reason = ...)]`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

HEAD = """# Unsafe code

Generated from the sources by `make docs`, which fails where an argument is missing. `unsafe` is denied in the
whole engine; each of these places is let pass on its own, with the reason why safe code does not do, and
the argument why the place is sound. Nothing else in portico's own code is unsafe.
"""

TOKENS = re.compile(
    r"""
      (?P<comment> //[^\n]* | /\*.*?\*/ )
    | (?P<string> b?r(?P<hashes>\#*)".*?"(?P=hashes) | [bc]?"(?:\\.|[^"\\])*" )
    | (?P<character> b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[0-9a-fA-F_]+\}|.)|[^\\'\n])' )
    """,
    re.VERBOSE | re.DOTALL,
)
REASON = re.compile(r"#\[expect\(\s*unsafe_code\s*,\s*reason\s*=\s*\"((?:\\.|[^\"\\])*)\"\s*,?\s*\)\]")
SAFETY = re.compile(r"^\s*//[/!]?\s*(?:SAFETY:|# Safety)\s*(.*)")
OWNER = re.compile(
    r"\bfn\s+(?P<fn>\w+)|\bmod\s+(?P<mod>\w+)"
    r"|\bimpl(?:\s*<[^{;]*?>)?\s+(?:[\w:<>', &]+\s+for\s+)?(?P<impl>\w+)"
)


@dataclass(frozen=True)
class Unsafe:
    """One use of `unsafe`; `reason` and `argument` are empty where they are missing."""

    file: str
    owner: str
    reason: str
    argument: str


def unsafe_page() -> str:
    """Return the page as Markdown.

    Raises SystemExit, with a line for each, when uses of `unsafe` lack their reason or argument.
    """
    uses: list[Unsafe] = []
    free: list[str] = []
    for path in sorted([*ROOT.glob("src/**/*.rs"), *ROOT.glob("crates/**/*.rs")]):
        name, text = path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
        uses += find_unsafe(name, text)
        if "#![forbid(unsafe_code)]" in text:
            free.append(f"`{path.parent.parent.relative_to(ROOT).as_posix()}`")
    if faults := [fault for use in uses for fault in faults_of(use)]:
        raise SystemExit("\n".join(faults))
    forbidden = f"The compiler forbids it altogether in {', '.join(free)}.\n\n" if free else "\n"
    rows = [f"| {use.file} | `{use.owner}` | {cell(use.reason)} | {cell(use.argument)} |" for use in uses]
    return (
        HEAD
        + forbidden
        + "| file | in | why not safe code | why it is sound |\n|---|---|---|---|\n"
        + "".join(f"{row}\n" for row in rows)
    )


def faults_of(use: Unsafe) -> Iterator[str]:
    """What a use lacks, as sentences for the one who wrote it."""
    if not use.reason:
        yield f'{use.file}, {use.owner}: unsafe without #[expect(unsafe_code, reason = "...")] above it'
    if not use.argument:
        yield f"{use.file}, {use.owner}: unsafe without a SAFETY: comment above it"


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return text.replace("|", "\\|")


def find_unsafe(file: str, text: str) -> Iterator[Unsafe]:
    """Every `unsafe` of a source file that is code: not those of comments, strings and lint names."""
    # Blanks keep every offset: the code alone is searched, the text around a hit is read.
    code = TOKENS.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    for match in re.finditer(r"\bunsafe\b", code):
        above = lines_above(code, text, match.start())
        yield Unsafe(file, owner_at(code, match.start()), reason_in(above), argument_in(above))


def lines_above(code: str, text: str, offset: int) -> list[str]:
    """The comments and attributes directly above the statement that holds `offset`, in order."""
    code_lines, text_lines = code.split("\n"), text.split("\n")
    index = code.count("\n", 0, offset)
    # Up to the first line of the statement.
    while index > 0 and (line := code_lines[index - 1].strip()) and not is_attribute_end(line):
        if line[-1] in ";{}":
            break
        index -= 1
    last = index
    while index > 0 and text_lines[index - 1].strip():
        line = code_lines[index - 1].strip()
        if line and not is_attribute_end(line):
            break
        index -= 1
        # An attribute in several lines begins where its bracket opens.
        while line and index > 0 and not code_lines[index].strip().startswith("#["):
            index -= 1
    return text_lines[index:last]


def is_attribute_end(line: str) -> bool:
    """Whether a line of code is an attribute, or the end of one."""
    return line.startswith("#[") or line.endswith(")]")


def reason_in(lines: list[str]) -> str:
    """The reason of the `expect` attribute among `lines`."""
    match = REASON.search("\n".join(lines))
    return match[1] if match else ""


def argument_in(lines: list[str]) -> str:
    """The SAFETY comment among `lines`, in one line."""
    found: list[str] = []
    for line in lines:
        if match := SAFETY.match(line):
            found = [match[1]]
        elif found and line.strip().startswith("//"):
            found.append(line.strip().lstrip("/!").strip())
    return " ".join(part for part in found if part)


def owner_at(code: str, offset: int) -> str:
    """The function that encloses `offset`, after its type where it has one."""
    owners: list[tuple[str, str]] = []
    pending = ("", "")
    for match in re.finditer(rf"{OWNER.pattern}|(?P<brace>[{{}}])|(?P<end>;)", code[:offset]):
        kind = match.lastgroup or ""
        if kind == "brace" and match[0] == "{":
            owners.append(pending)
            pending = ("", "")
        elif kind == "brace":
            owners = owners[:-1]
        elif kind == "end":
            pending = ("", "")
        elif pending[0] != "fn":
            # `impl` in the arguments or the result of a function is none of its own.
            pending = (kind, match[kind])
    names = [name for kind, name in [*owners, pending] if kind in ("fn", "impl")]
    return "::".join(names[-2:]) or "the file itself"


if __name__ == "__main__":
    sys.stdout.write(unsafe_page())
