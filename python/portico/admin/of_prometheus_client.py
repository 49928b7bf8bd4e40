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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any


class ClientMetrics:
    """The metrics in a directory; an empty name is none."""

    __slots__ = ("_directory", "_said")

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._said = ""

    def text(self, media_type: str, taken: Collection[str]) -> str:
        """Return them in the format of that media type, but for those whose names are `taken`."""
        try:
            if not self._directory or not any(name.endswith(".db") for name in os.listdir(self._directory)):
                return ""
            text = _read(self._directory, media_type, taken)
        except Exception as error:
            self._say(f"metrics: cannot read those of prometheus_client: {type(error).__name__}: {error}")
            return ""
        self._said = ""
        return text

    def _say(self, sentence: str) -> None:
        """Say it once, until all is well again."""
        if sentence != self._said:
            _core.log("warning", sentence)
            self._said = sentence


class _Untaken:
    """A collector of the library without the metrics whose names are taken."""

    def __init__(self, collector: Any, taken: Collection[str]) -> None:
        self._collector = collector
        self._taken = taken

    def collect(self) -> Iterator[Any]:
        for metric in self._collector.collect():
            if metric.name not in self._taken:
                yield metric


def _read(directory: str, media_type: str, taken: Collection[str]) -> str:
    # Its types differ from version to version.
    multiprocess: Any = import_module("prometheus_client.multiprocess")
    written_by = "openmetrics.exposition" if media_type == OPENMETRICS else "exposition"
    exposition: Any = import_module(f"prometheus_client.{written_by}")
    collector = _Untaken(multiprocess.MultiProcessCollector(None, path=directory), taken)
    text: bytes = exposition.generate_latest(collector)
    return text.decode().removesuffix(END)
