"""Modules that a process may need later, as code that was read and has not run.

That is a fifth of the memory that they take once they are imported, which few of them ever are. A finder
(`sys.meta_path`) and a loader at once, in the process that has read them and in those that it forks later.
What a module imports is not read by itself: who keeps it names that as well.
"""

from __future__ import annotations

import marshal
import sys
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

# PEP 552: after the magic number come flags, and without any the time and the size of the source.
_NO_FLAGS = bytes(4)
_HEAD_BYTES = 16
_WORD = 0xFFFF_FFFF


class KeptCode:
    """What was read, by the names of modules; each until it is imported."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[str, tuple[ModuleSpec, bytes]] = {}

    def keep(self, name: str) -> None:
        """Read the module `name`, whose package is loaded; import it if its loader gives no code.

        Raises ImportError if there is none.
        """
        if name in sys.modules or name in self._kept:
            return
        spec = _find(name)
        data = None if spec is None else _code_of(spec)
        if spec is None or data is None:
            __import__(name)
            return
        spec.loader = self  # type: ignore[assignment]
        self._kept[name] = spec, data

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        """Return how to load a module that is kept."""
        kept = self._kept.get(name)
        return None if kept is None else kept[0]

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let the interpreter make it as it makes any."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run the code that was kept."""
        exec(marshal.loads(self._kept.pop(module.__name__)[1]), vars(module))


def _find(name: str) -> ModuleSpec | None:
    # As importlib.util.find_spec, without the 0.2 MB of that.
    path = sys.modules[name.rpartition(".")[0]].__path__ if "." in name else None
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


def _code_of(spec: ModuleSpec) -> bytes | None:
    """Return the code of a module as `marshal` writes it; None if its loader has none."""
    data = _cached_code_of(spec)
    if data is not None:
        return data
    get_code = getattr(spec.loader, "get_code", None)
    code = None if get_code is None else get_code(spec.name)
    return None if code is None else marshal.dumps(code)


def _cached_code_of(spec: ModuleSpec) -> bytes | None:
    """Return it as it is in the file of bytecode, if there is one and it is that of the source.

    `get_code` would make it whole for a moment, and the memory for that would stay.
    """
    loader: Any = spec.loader
    try:
        source = loader.path_stats(spec.origin)
        data: bytes = loader.get_data(spec.cached)
    except (AttributeError, OSError, TypeError):
        return None  # another kind of loader, or nowhere to cache it
    words = (int(source["mtime"]), source["size"])
    head = MAGIC_NUMBER + _NO_FLAGS + b"".join((word & _WORD).to_bytes(4, "little") for word in words)
    return data[_HEAD_BYTES:] if data.startswith(head) else None
