"""What a Python file has at its top level, read from its source: nothing is imported, nothing is run.

Runs in the process of the command line only, for config/finding.py.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator


class UnreadableError(Exception):
    """A file is not Python, or cannot be read; the text goes on where its name has begun a sentence."""


def parse_file(path: str) -> ast.Module:
    """Return the syntax tree of the file at `path`; raises UnreadableError."""
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None
    try:
        with warnings.catch_warnings():
            # They are the worker's to say, which compiles the file.
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as error:
        raise UnreadableError(f"is not Python: {error.msg} in line {error.lineno}") from None
    except (ValueError, RecursionError) as error:  # a zero byte (until Python 3.11), brackets in brackets
        raise UnreadableError(f"is not Python: {error}") from None


def top_level_names(tree: ast.Module) -> dict[str, ast.stmt]:
    """Return the names that importing the file binds, each with the last statement that does."""
    return dict(_bindings(tree.body))


def _bindings(statements: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name, statement
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                yield alias.asname or alias.name, statement
        elif isinstance(statement, ast.If) and _asks_for_main(statement.test):
            yield from _bindings(statement.orelse)
        elif isinstance(statement, ast.Assign):
            for target in statement.targets:
                yield from ((name, statement) for name in _stored(target))
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            yield from ((name, statement) for name in _stored(statement.target))
        else:
            # The bodies of if, try, with, match and loops: they run where they stand.
            for part in ast.iter_child_nodes(statement):
                if isinstance(part, ast.stmt):
                    yield from _bindings([part])
                elif isinstance(part, ast.ExceptHandler | ast.match_case):
                    yield from _bindings(part.body)


def _asks_for_main(test: ast.expr) -> bool:
    """Say whether `test` is `__name__ == "__main__"`, which it is not where the file is imported."""
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))


def _stored(target: ast.expr) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def is_function(statement: ast.stmt) -> bool:
    """Say whether `statement` is a `def`."""
    return isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)


def needs_arguments(statement: ast.stmt) -> bool:
    """Say whether `statement` is a function that cannot be called without arguments."""
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    given = statement.args
    positional = len(given.posonlyargs) + len(given.args)
    return positional > len(given.defaults) or None in given.kw_defaults


def values_of_variable(tree: ast.Module, variable: str) -> set[str | None]:
    """Return what the file may set the environment variable `variable` to; None stands for an expression.

    `os.environ.setdefault("NAME", value)` counts, and `os.environ["NAME"] = value`, wherever they stand.
    """
    values: set[str | None] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "setdefault" and len(node.args) == 2 and _text(node.args[0]) == variable:
                values.add(_text(node.args[1]))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and _text(target.slice) == variable:
                    values.add(_text(node.value))
    return values


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
