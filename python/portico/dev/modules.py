"""Which files a worker has read to be what it is: those of its modules, and those of an import that failed.

Told to the loop over a pipe of each worker's own, once the application is loaded, and after a call that has
imported more. A report has all of them, not what is new.
"""

from __future__ import annotations

import _thread
import marshal
import os
import sys

from portico.process.tracebacks import PORTICO_FOLDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

_HEAD_BYTES = 4


class Report:
    """What a worker says: its `files`; `globs`, a folder and a pattern each; whether the import failed."""

    __slots__ = ("files", "globs", "has_failed")

    def __init__(self, files: list[str], globs: list[tuple[str, str]], *, has_failed: bool) -> None:
        self.files = files
        self.globs = globs
        self.has_failed = has_failed


def encode_report(report: Report) -> bytes:
    """Return the frame of `report`: four bytes of length (little endian), then the report."""
    data = marshal.dumps((report.files, report.globs, report.has_failed))
    return len(data).to_bytes(_HEAD_BYTES, "little") + data


class ReportDecoder:
    """Frames in, split anywhere; reports out."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Report]:
        """Return the reports that are complete with `data`."""
        self._buffer += data
        reports = []
        while len(self._buffer) >= _HEAD_BYTES:
            end = _HEAD_BYTES + int.from_bytes(self._buffer[:_HEAD_BYTES], "little")
            if len(self._buffer) < end:
                break
            files, globs, has_failed = marshal.loads(self._buffer[_HEAD_BYTES:end])
            reports.append(Report(files, globs, has_failed=has_failed))
            self._buffer = self._buffer[end:]
        return reports


class Reporter:
    """A worker's end of the pipe."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = _thread.allocate_lock()
        self._globs: list[tuple[str, str]] = []
        self._module_count = 0

    def report(
        self,
        globs: list[tuple[str, str]],
        *,
        failed_files: Iterable[str] = (),
        has_failed: bool = False,
    ) -> None:
        """Say what was imported, which globs matter besides, and whether and where the import failed."""
        self._globs = globs
        self._send(failed_files, has_failed=has_failed)

    def report_more(self) -> None:
        """Say what was imported, if that is more than at the last time."""
        if len(sys.modules) != self._module_count:
            self._send((), has_failed=False)

    def _send(self, failed_files: Iterable[str], *, has_failed: bool) -> None:
        with self._lock:
            self._module_count = len(sys.modules)
            files = {*imported_files(), *failed_files}
            data = encode_report(Report(sorted(files), self._globs, has_failed=has_failed))
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError:
                pass  # the loop is gone, and this worker about to be


def imported_files() -> Iterator[str]:
    """Yield the absolute paths of the files that modules are from, but for portico's own."""
    for module in list(sys.modules.values()):
        try:
            # Not by their attributes: a module that loads itself at the first look is to stay as it is.
            names = object.__getattribute__(module, "__dict__")
        except (AttributeError, TypeError):
            continue
        path = getattr(names.get("__loader__"), "archive", None) or names.get("__file__")
        if isinstance(path, str) and path:
            path = os.path.abspath(path)
            if not path.startswith(PORTICO_FOLDER):
                yield path


def files_of_failure(error: BaseException) -> Iterator[str]:
    """Yield the absolute paths of what `error` came through: such modules are in `sys.modules` no longer."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield from _files_of(one, one.__traceback__)
        waiting += [one.__cause__, one.__context__]


def _files_of(error: BaseException, trace: TracebackType | None) -> Iterator[str]:
    paths = [error.filename] if isinstance(error, SyntaxError) else []
    while trace is not None:
        paths.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    for path in paths:
        if isinstance(path, str) and path and not path.startswith("<"):
            path = os.path.abspath(path)
            if not path.startswith(PORTICO_FOLDER):
                yield path


def forget_bytecode(paths: Iterable[str]) -> None:
    """Remove what Python has compiled of the sources at `paths`.

    It compares a source by size and by whole seconds with what it has compiled, and would take the one of
    before where a file is saved twice within a second (importlib, "Cached bytecode invalidation").
    """
    from importlib.util import cache_from_source

    for path in paths:
        if path.endswith(".py"):
            try:
                os.unlink(cache_from_source(path))
            except (OSError, NotImplementedError):
                continue  # there is none, or it is not ours to remove
