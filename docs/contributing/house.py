"""The layers of portico, and every import that breaks them: tests/unit/test_house.py wants none.

The order of Rust modules is told in the sources (rust_imports.py), the rest in the tables here. draw_house.py
draws both.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rust_imports import ROOT, Crate, Import, code_of, parent, shown


@dataclass(frozen=True)
class Layer:
    """A layer of the Python package: its modules, and what they are for."""

    modules: tuple[str, ...]
    what: str


# Top to bottom: a layer imports what stands below it, and within itself.
PYTHON_LAYERS = (
    Layer(("__init__",), "what other programs name: the version, serve, running"),
    Layer(
        ("cli", "commands", "command_line", "__main__", "management", "apps", "flask_command"),
        "commands: portico's, Django's, Flask's",
    ),
    Layer(("top",), "follows a server that runs, on a terminal"),
    Layer(("ctl", "dev"), "asks a server that runs; a server to develop with"),
    Layer(
        ("embedding", "generate", "process", "pytest_plugin", "report", "simple_server"),
        "the supervisor and its workers; other programs",
    ),
    Layer(
        ("app_loader", "django_wsgi", "event_loops", "config", "otlp", "log", "threads", "deadlines"),
        "the application, settings, a collector, the error log, threads, deadlines",
    ),
    Layer(
        ("metrics", "admin", "middleware", "frameworks", "profile"),
        "for those who run the server; around an application and in it, under any server",
    ),
    Layer(("wire",), "HTTP/1 without sockets, for other programs"),
    Layer(("types", "errors", "hooks"), "names of types, exit codes"),
    Layer(("_core",), "the bridge, as Python sees it"),
)

# Bottom to top: the sources of a crate, and which others of ours it may import.
CRATES: dict[str, tuple[str, tuple[str, ...]]] = {
    "portico_wire": ("crates/wire/src", ()),
    "portico_crew": ("crates/crew/src", ()),
    "portico_engine": ("crates/engine/src", ("portico_wire", "portico_crew")),
    "_core": ("src", ("portico_wire", "portico_engine")),
}

# The only modules of the engine that may name a socket.
SOCKET_MODULES = (
    *("listener", "connection::socket", "orders", "accept", "datagram", "upstream::connect"),
    *("access_log::destination", "access_log::writer"),
)
SOCKETS = re.compile(r"rustix::net|tokio::net|std::net::(?:\{[^}]*)?(?:Tcp|Udp)|std::os::unix::net")


def read_crates() -> dict[str, Crate]:
    """Our crates by name, from the lowest to the highest."""
    crates: dict[str, Crate] = {}
    for name, (sources, _) in CRATES.items():
        crates[name] = Crate(name, ROOT / sources, crates)
    return crates


def read_python(package: Path) -> list[Import]:
    """The imports of a Python package of itself, those for type checking marked."""
    modules = {python_module(package, path): path for path in package.rglob("*.py*") if path.suffix != ".pyc"}
    return [found for name, path in modules.items() for found in python_imports(name, path, set(modules))]


def python_module(package: Path, path: Path) -> str:
    """`portico.config.units`; a package is its folder."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def python_imports(importer: str, path: Path, modules: set[str]) -> Iterator[Import]:
    """What one Python file imports of `modules`, wherever in the file."""
    tree = ast.parse(path.read_text("utf-8"))
    guarded = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test).endswith("TYPE_CHECKING")
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from portico import log` imports a module, `from portico.log import log` a name of one.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else node.module for name in names]
        else:
            continue
        for imported in dict.fromkeys(names):
            if imported in modules and imported != importer:
                for_types = id(node) in guarded or path.suffix == ".pyi"
                yield Import(shown(path), node.lineno, importer, imported, ast.unparse(node), for_types)


# --- The rules: each returns the imports that break it, as sentences


def upward(crate: Crate) -> list[str]:
    """Imports of a module that stands later in the reading order. A module stands after its parts."""
    place = {f"{crate.name}::{module}": index for index, module in enumerate(crate.order())}
    inside = [found for found in crate.imports if found.importer in place and found.imported in place]
    against = {
        (found.importer, found.imported): found
        for found in inside
        if place[found.importer] < place[found.imported]
    }
    return [f"{found}, which stands later" for found in against.values()]


def circles(imports: Iterable[Import]) -> list[str]:
    """Files that import each other, directly or by way of others, also for type checking.

    A part may use what its parent has.
    """
    below: dict[str, dict[str, Import]] = {}
    for found in imports:
        if parent(found.importer) != found.imported:
            below.setdefault(found.importer, {})[found.imported] = found
    reached = {module: reachable(module, below) for module in below}
    pairs = {
        (one, other): found
        for one, targets in below.items()
        for other, found in targets.items()
        if one in reached.get(other, ())
    }
    return [f"{found}, which leads back to it" for found in pairs.values()]


def reachable(module: str, below: Mapping[str, Iterable[str]]) -> set[str]:
    """All that `module` imports, directly or by way of others."""
    found: set[str] = set()
    waiting = list(below.get(module, ()))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += below.get(name, ())
    return found


def between_crates(crate: Crate, allowed: Iterable[str]) -> list[str]:
    """Imports of crates of ours that are not `allowed`."""
    return [
        f"{found}: {crate.name} may import {', '.join(allowed) or 'nothing of ours'}"
        for found in crate.imports
        if found.imported.split("::")[0] not in (crate.name, *allowed)
    ]


def naming(crate: Crate, words: re.Pattern[str], allowed: Iterable[str] = ()) -> list[str]:
    """Where modules that are not `allowed` name one of `words` in code."""
    return [
        f"{shown(path)}:{code.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for module, path in crate.files.items()
        if module not in allowed
        for code in [code_of(path)]
        for match in words.finditer(code)
    ]


def against_layers(imports: Iterable[Import]) -> list[str]:
    """Imports of a higher layer of the Python package, also for type checking; and modules in no layer."""
    height = {name: -index for index, layer in enumerate(PYTHON_LAYERS) for name in layer.modules}
    faults = []
    for found in imports:
        pair = [layer_name(found.importer), layer_name(found.imported)]
        faults += [f"{found}: `{name}` is in no layer" for name in pair if name not in height]
        # The stub of the bridge names the types of what is handed down to it.
        stub = found.file.endswith(".pyi")
        if not stub and all(name in height for name in pair) and height[pair[0]] < height[pair[1]]:
            faults.append(f"{found}, which is a higher layer")
    return faults


def layer_name(module: str) -> str:
    """`config` for `portico.config.units`, `__init__` for `portico`."""
    return [*module.split("."), "__init__"][1]
