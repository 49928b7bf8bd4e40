"""The modules of a Rust crate, their reading order and their imports, read from its sources by text.

The reading order is told by numbered lists: one at the head of `lib.rs`, one at the head of each module that
has parts. What the compiler knows and no path says (a method of a field's type) is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOT_CODE = re.compile(
    r"""
      //[^\n]* | /\*.*?\*/
    | b?r(?P<hashes>\#*)".*?"(?P=hashes) | [bc]?"(?:\\.|[^"\\])*"
    | b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[0-9a-fA-F_]+\}|.)|[^\\'\n])'
    """,
    re.VERBOSE | re.DOTALL,
)
USE = re.compile(r"\buse\s+([^;]+);")
ROOTED = r"(?:crate|super|self|portico_\w+)"
# Tests stand last in a file, and may import what they like.
TESTS = re.compile(r"#\[cfg\((?:test|all\(test[^\n]*)\)\]\s*(?:#\[[^\n]*\]\s*)*mod \w+ \{.*\Z", re.DOTALL)
NUMBERED = re.compile(r"^//! \d+\. ((?:.|\n//!    )*)", re.MULTILINE)
NAMED = re.compile(r"`([a-z0-9_]+(?:::[a-z0-9_]+)*)`")


@dataclass(frozen=True)
class Import:
    """One import. Modules are named from their crate or package on: `portico_engine::message::inbound`."""

    file: str
    line: int
    importer: str
    imported: str
    written: str
    for_types_only: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.importer} imports {self.imported} ({self.written})"


@dataclass(frozen=True)
class Row:
    """One number of a reading order: the modules it names, and what it says of them."""

    modules: list[str]
    what: str


class Crate:
    """The modules of one crate, named by their paths; `""` is `lib.rs`.

    `crates` are those that paths may lead to, by name.
    """

    def __init__(self, name: str, sources: Path, crates: dict[str, Crate]) -> None:
        self.name, self.sources, self.crates = name, sources, crates
        self.files: dict[str, Path] = {}
        for path in sorted(sources.rglob("*.rs")):
            module = "::".join(path.relative_to(sources).with_suffix("").parts)
            self.files["" if module == "lib" else module] = path

    def children(self, module: str) -> list[str]:
        """The modules directly below `module`, by name."""
        return [name for name in self.files if name and parent(name) == module]

    def rows(self, module: str = "") -> list[Row]:
        """The numbered list at the head of `module`; a name counts where it is first told."""
        text = self.files[module].read_text("utf-8") if module in self.files else ""
        head = re.match(r"(?://![^\n]*\n)*", text)
        told: set[str] = set()
        rows = []
        for match in NUMBERED.finditer(head[0] if head else ""):
            item = re.sub(r"\s*\n//!\s*", " ", match[1])
            names = [join(module, name) for name in NAMED.findall(item)]
            new = [name for name in dict.fromkeys(names) if name in self.files and name not in told]
            told.update(new)
            if new:
                rows.append(Row(new, item.partition(": ")[2].replace("`", "").rstrip(".")))
        return rows

    def untold(self, module: str = "") -> list[str]:
        """The modules below `module` that no reading order names."""
        told = {name for row in self.rows(module) for name in row.modules}
        untold = [name for name in self.children(module) if name not in told]
        return untold + [name for child in self.children(module) for name in self.untold(child)]

    def order(self, module: str = "") -> list[str]:
        """All modules below `module` in reading order, each after its parts; those untold come last."""
        told = [name for row in self.rows(module) for name in row.modules]
        children = dict.fromkeys([*told, *self.children(module)])
        order = [name for child in children for name in [*self.order(child), child]]
        return list(dict.fromkeys(order))

    @cached_property
    def imports(self) -> list[Import]:
        """What the modules import of each other and of `crates`."""
        return [found for module in self.files for found in self._imports_of(module)]

    def _imports_of(self, module: str) -> Iterator[Import]:
        path = self.files[module]
        code = code_of(path)
        names = "|".join([ROOTED, *(name.rpartition("::")[2] for name in self.children(module))])
        seen = set()
        for offset, written in paths_of(code, names):
            imported = self._meant(module, written.split("::"))
            line = code.count("\n", 0, offset) + 1
            if imported and imported != qualified(self.name, module) and (line, imported) not in seen:
                seen.add((line, imported))
                yield Import(shown(path), line, qualified(self.name, module), imported, written)

    def _meant(self, module: str, parts: list[str]) -> str | None:
        """The module that a path means; None for one that is none of ours."""
        head, *rest = parts
        if head in self.crates and head != self.name:
            return qualified(head, self.crates[head].owner("", rest))
        if head in ("crate", "self", "super"):
            base = "" if head == "crate" else module
            while parts and parts[0] in ("crate", "self", "super"):
                base = parent(base) if parts[0] == "super" else base
                parts = parts[1:]
            return qualified(self.name, self.owner(base, parts))
        return qualified(self.name, self.owner(module, parts)) if join(module, head) in self.files else None

    def owner(self, base: str, parts: list[str]) -> str:
        """The module that has the item `parts`, seen from `base`."""
        for part in parts:
            if join(base, part) not in self.files:
                # What `lib.rs` shows of a module is still that module's.
                return base or self._shown.get(part, "")
            base = join(base, part)
        return base

    @cached_property
    def _shown(self) -> dict[str, str]:
        shown = {}
        for match in re.finditer(r"\bpub use ([^;]+);", code_of(self.files[""])):
            for written in expand(match[1]):
                module, _, item = written.rpartition("::")
                if module in self.files:
                    shown[item] = module
        return shown


def shown(path: Path) -> str:
    """A path from the root of the repository, where it is in there."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def join(module: str, name: str) -> str:
    """The module `name` of `module`."""
    return f"{module}::{name}" if module else name


def parent(module: str) -> str:
    """The module that `module` is a part of."""
    return module.rpartition("::")[0]


def qualified(crate: str, module: str) -> str:
    """The name of a module with its crate."""
    return join(crate, module) if module else crate


def blank(text: str) -> str:
    """As many characters and lines, so that offsets stay."""
    return re.sub(r"[^\n]", " ", text)


def code_of(path: Path) -> str:
    """A source file without comments, strings and its own tests."""
    text = NOT_CODE.sub(lambda match: blank(match[0]), path.read_text("utf-8"))
    return TESTS.sub("", text)


def paths_of(code: str, names: str) -> Iterator[tuple[int, str]]:
    """Offset and text of each path of a `use`, and of each other path that begins with one of `names`."""
    for match in USE.finditer(code):
        for written in expand(match[1]):
            yield match.start(), written
    rest = USE.sub(lambda match: blank(match[0]), code)
    for match in re.finditer(rf"(?<![\w:.$])(?:{names})(?:\s*::\s*\w+)+", rest):
        if not rest.endswith("pub(in ", 0, match.start()):
            yield match.start(), re.sub(r"\s", "", match[0])


def expand(tree: str) -> Iterator[str]:
    """`a::{b, c::{self, d}}` as `a::b`, `a::c` and `a::c::d`."""
    tree = re.sub(r"\s+as\s+\w+", "", tree.strip())
    head, brace, tail = tree.partition("{")
    if not brace:
        yield re.sub(r"(::self|::\*)$", "", re.sub(r"\s", "", tree))
        return
    inner = tail[: tail.rindex("}")]
    depth = start = 0
    for index, character in enumerate(inner + ","):
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            if part := inner[start:index].strip():
                yield from expand(head.strip() + part)
            start = index + 1
