"""APP as it is written: a module or a file, an attribute, the arguments of a factory.

Reads text and looks whether there is such a file; imports nothing of the application.
"""

from __future__ import annotations

import os

from portico.errors import LoadError, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Mapping, Sequence
    from typing import Any

DEFAULT_ATTRIBUTES = ("application", "app")
"""What is taken of a module where APP names no attribute, the first that is there.

By custom `application` is what a server calls (mod_wsgi); an `app` beside it may be what that has inside.
"""
FACTORIES = ("create_app", "make_app")
CONFIGURATIONS = (".toml", ".ini", ".cfg", ".yaml", ".yml", ".json", ".xml")
"""How the names end of files that are no applications, and that other servers take in their place."""
FACTORY_PREFIXES = ("create_", "make_", "build_")
"""How the names begin of what is most likely a factory."""
_EXAMPLE = "such as shop.wsgi:application"
_CALL_EXAMPLE = 'such as shop:create_app("test", debug=True)'


class ApplicationName:
    """APP, read: what to import, what to take of it, and whether to call that.

    `target` is the name of a module, or with `is_file` the path of one. `path` is the attribute, perhaps
    dotted, or empty. `call` is the text of the call, from its parenthesis on, or empty.
    """

    __slots__ = ("arguments", "call", "is_file", "keywords", "path", "target")

    def __init__(
        self,
        target: str,
        path: str,
        call: str,
        *,
        is_file: bool,
        arguments: Sequence[Any],
        keywords: Mapping[str, Any],
    ) -> None:
        self.target = target
        self.path = path
        self.call = call
        self.is_file = is_file
        self.arguments = arguments
        self.keywords = keywords


def parse_name(text: str, directory: str) -> ApplicationName:
    """Return what `text` says; paths of files start from `directory`. Raises LoadError if it is no name."""
    target, colon, attribute = text.partition(":")
    is_file = names_file(target) or _is_only_a_file(target, directory)
    if is_file and target.endswith(CONFIGURATIONS):
        advice = f"-c {target}" if target.endswith(".toml") else "-c with a TOML file (docs/configuration.md)"
        raise LoadError(f"{quoted(target)} is no Python: a configuration is named by {advice}")
    if not is_file and not _is_dotted(target):
        is_there = os.path.isfile(os.path.join(directory, f"{target}.py"))
        hint = f"; did you mean {target}.py?" if is_there else ""
        raise LoadError(f"expected the name of an application, {_EXAMPLE}, got {quoted(text)}{hint}")
    path, parenthesis, rest = attribute.partition("(")
    if colon and not _is_dotted(path):
        raise LoadError(f"expected an attribute after the colon, {_EXAMPLE}, got {quoted(text)}")
    call = parenthesis + rest
    arguments, keywords = read_arguments(call) if call not in ("", "()") else ([], {})
    return ApplicationName(target, path, call, is_file=is_file, arguments=arguments, keywords=keywords)


def read_arguments(call: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of `call`, such as `("test", debug=True)`: those by place, and those by name.

    Raises LoadError, which says what is wrong, if they are no literals.
    """
    # Here and not above: few applications are made with arguments, and every worker would have it in memory.
    import ast

    expression: ast.expr | None
    try:
        expression = ast.parse(f"factory{call}", mode="eval").body
    except (SyntaxError, ValueError):
        expression = None
    if not isinstance(expression, ast.Call) or not isinstance(expression.func, ast.Name):
        raise LoadError(f"expected the arguments of a factory, {_CALL_EXAMPLE}, got {quoted(call)}")
    arguments = [_literal(node) for node in expression.args]
    keywords = {keyword.arg or "**": _literal(keyword.value) for keyword in expression.keywords}
    if len(keywords) < len(expression.keywords) or "**" in keywords:
        raise LoadError(
            f"the arguments of a factory are given one by one, {_CALL_EXAMPLE}, got {quoted(call)}"
        )
    return arguments, keywords


def names_file(target: str) -> bool:
    """Say whether `target` is the path of a file and cannot be the name of a module."""
    return "/" in target or target.endswith(".py")


def _is_only_a_file(target: str, directory: str) -> bool:
    """Say whether `target`, such as `shop.wsgi`, is a file of `directory` and no module there."""
    as_module = os.path.join(directory, target.replace(".", "/"))
    is_module = os.path.isfile(as_module + ".py") or os.path.isfile(os.path.join(as_module, "__init__.py"))
    return not is_module and os.path.isfile(os.path.join(directory, target))


def _is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _literal(node: ast.expr) -> Any:
    import ast

    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise LoadError(
            f"the arguments of a factory are literals, {_CALL_EXAMPLE}, got {quoted(ast.unparse(node))}"
        ) from None
