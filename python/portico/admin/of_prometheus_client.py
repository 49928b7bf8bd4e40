"""What is told of metrics that an application counts by prometheus_client, in its multiprocess mode.

Reads the files of that mode (`portico.process.metric_files`) with the library itself, of the application's
environment, which is imported once there are any. Whatever goes wrong is said in the error log, and the rest
is told all the same.
"""

from __future__ import annotations

import os
from importlib import import_module

from portico import _core
from portico.admin.exposition import END, OPENMETRICS
from portico.admin.families import POOL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Any


class ClientMetrics:
    """The metrics in a directory; an empty name is none."""

    __slots__ = ("_directory", "_others", "_said")

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._said = ""
        # Pools of other users, of which that was said.
        self._others: set[str] = set()

    def text(self, media_type: str, taken: Collection[str], pools: Iterable[tuple[str, str]] = ()) -> str:
        """Return them in the format of that media type, but for those whose names are `taken`.

        `pools` are others that have a directory, by their names.
        """
        try:
            own = [("", self._directory)] if self._directory else []
            found = [
                (pool, directory)
                for pool, directory in (*own, *filter(self._may_read, pools))
                if any(name.endswith(".db") for name in os.listdir(directory))
            ]
            if not found:
                return ""
            text = _read(found, media_type, taken)
        except Exception as error:
            self._say(f"metrics: cannot read those of prometheus_client: {type(error).__name__}: {error}")
            return ""
        self._said = ""
        return text

    def _may_read(self, pool_and_directory: tuple[str, str]) -> bool:
        """Say whether the directory of a pool is this user's: others may have put anything there."""
        pool, directory = pool_and_directory
        try:
            is_own = os.lstat(directory).st_uid == os.geteuid()
        except OSError:
            return False  # the pool has just ended
        if not is_own and pool not in self._others:
            self._others.add(pool)
            _core.log("warning", f"metrics: those of prometheus_client in the pool {pool} are another user's")
        return is_own

    def _say(self, sentence: str) -> None:
        """Say it once, until all is well again."""
        if sentence != self._said:
            _core.log("warning", sentence)
            self._said = sentence


class _Untaken:
    """Collectors of the library as one, without metrics whose names are taken; pools are a label."""

    def __init__(self, collectors: Iterable[tuple[str, Any]], taken: Collection[str]) -> None:
        self._collectors = collectors
        self._taken = taken

    def collect(self) -> Iterator[Any]:
        metrics: dict[str, Any] = {}
        for pool, collector in self._collectors:
            for metric in collector.collect():
                if metric.name in self._taken:
                    continue
                if pool:
                    metric.samples = [_labelled(sample, pool) for sample in metric.samples]
                known = metrics.setdefault(metric.name, metric)
                if known is not metric and known.type == metric.type:
                    known.samples += metric.samples
        yield from metrics.values()


def _labelled(sample: Any, pool: str) -> Any:
    labels = {f"exported_{name}" if name == POOL else name: value for name, value in sample.labels.items()}
    return sample._replace(labels={**labels, POOL: pool})


def _read(directories: Iterable[tuple[str, str]], media_type: str, taken: Collection[str]) -> str:
    # Its types differ from version to version.
    multiprocess: Any = import_module("prometheus_client.multiprocess")
    written_by = "openmetrics.exposition" if media_type == OPENMETRICS else "exposition"
    exposition: Any = import_module(f"prometheus_client.{written_by}")
    collectors = [(pool, multiprocess.MultiProcessCollector(None, path=path)) for pool, path in directories]
    text: bytes = exposition.generate_latest(_Untaken(collectors, taken))
    return text.decode().removesuffix(END)
