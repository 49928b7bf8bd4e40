"""What the sources can say: every text of them, as the literal parts between what is filled in.

Not only what stands in a call of a logger: a sentence is often put together before. So all literals are
read (with `ast`, and with a tokenizer for Rust), and those that are for somebody else are left out by what
they are: docstrings, help, reasons of `expect`, tests.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEAST_WORDS = 3
_WORD = re.compile(r"[A-Za-z_]*[a-z]{2}[A-Za-z_]*")
_HELP = {"help", "short_help", "epilog", "metavar", "meaning", "description"}
_RUST_TOKEN = re.compile(
    r"""
    //[^\n]*                            # a comment, or documentation
    | /\*.*?\*/
    | (?P<reason>\breason\s*=\s*|\.expect\(\s*|\bassert\w*!\([^"]*?)?  # for who reads the source, or a panic
      (?:\br\#"(?P<raw>.*?)"\# | \bb?"(?P<plain>(?:[^"\\]|\\.)*)" | (?<![\w'])"(?P<text>(?:[^"\\]|\\.)*)")
    | '(?:\\.|[^\\'])'                  # a character, which may be a quote
    """,
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A literal with its place; `parts` are the texts around what is filled in."""

    place: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return "<>".join(self.parts).strip()

    @property
    def is_one(self) -> bool:
        """Whether it is no mere name or sign."""
        return len(_WORD.findall(str(self))) >= LEAST_WORDS and " " in str(self)


def normal(text: str) -> str:
    """`text` as both sides compare it: spaces are alike, and quotes of code do not count."""
    return re.sub(r"\s+", " ", text.replace("`", "")).strip()


def literals() -> list[Sentence]:
    """All texts of the Python and the Rust that a server consists of."""
    python = (path for path in sorted(ROOT.glob("python/portico/**/*.py")) if "__pycache__" not in path.parts)
    rust = sorted([*ROOT.glob("src/**/*.rs"), *ROOT.glob("crates/*/src/**/*.rs")])
    found = [sentence for path in python for sentence in of_python(path.read_text("utf-8"), _name(path))]
    found += [sentence for path in rust for sentence in of_rust(path.read_text("utf-8"), _name(path))]
    return found


def of_python(source: str, name: str) -> Iterator[Sentence]:
    """The literals of a module, but for docstrings, help of options, and what only an assert would say."""
    tree = ast.parse(source)
    hidden = {node for statement in ast.walk(tree) for node in _hidden_in(statement)}
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = [""]
            for value in node.values:
                if isinstance(value, ast.Constant):
                    parts[-1] += str(value.value)
                else:
                    parts.append("")
            yield Sentence(f"{name}:{node.lineno}", tuple(parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield Sentence(f"{name}:{node.lineno}", (node.value,))


def _hidden_in(node: ast.AST) -> Iterator[ast.AST]:
    """The literals below `node` that are no sentences of their own."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield from (value for value in node.values if isinstance(value, ast.Constant))
    elif isinstance(node, ast.Assert) and node.msg is not None:
        yield from ast.walk(node.msg)
    elif isinstance(node, ast.keyword) and node.arg in _HELP:
        yield from ast.walk(node.value)


def of_rust(source: str, name: str) -> Iterator[Sentence]:
    """The literals of a file, but for its tests, reasons of lints, and what only a panic would say."""
    source = source.partition("#[cfg(test)]")[0]
    for token in _RUST_TOKEN.finditer(source):
        text = next((token[kind] for kind in ("raw", "plain", "text") if token[kind] is not None), None)
        if text is None or token["reason"]:
            continue
        text = re.sub(r"\\\n\s*", "", text).replace("\\n", "\n").replace('\\"', '"')
        parts = re.split(r"(?<!\{)\{(?!\{)[^{}]*\}", text)
        line = source.count("\n", 0, token.start()) + 1
        yield Sentence(f"{name}:{line}", tuple(part.replace("{{", "{").replace("}}", "}") for part in parts))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
