"""Where the time of a request goes: each call of the application runs under cProfile.

Receives a request; hands on the application's response once all of it is there, and writes what was measured
to a stream, to a file for each request, or both. Runs in the calling thread; one request is profiled at a
time. It is for development: nothing is streamed, and everything is slower.
"""

from __future__ import annotations

import os.path
import pstats
import sys
import time
from cProfile import Profile  # by this name, as Werkzeug has it
from threading import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TextIO

    from portico.types import Environ, ExcInfo, StartResponse, Write, WSGIApplication

# Since Python 3.12 a process has one profiler, which hears of all threads.
_PROFILING = Lock()
_WAIT_S = 10.0
_MAX_PATH = 100
"""Characters of the path in a file's name, which has to stay below 255 bytes."""


class ProfilerMiddleware:
    """Profile each call of `app`, from its beginning to its `close()`, with `cProfile`.

    `stream` is what a table is written to after each request, sorted by the columns `sort_by` and shortened
    by `restrictions` (`pstats.Stats.sort_stats` and `print_stats`); None for no table. `profile_dir` is an
    existing directory for a file per request, which `pstats`, snakeviz and others read. `filename_format` is
    its name, with the fields `method`, `path` (`root` for `/`), `elapsed` (ms) and `time` (s since 1970); or
    a callable that takes the environ, in which `werkzeug.profiler` is a dict with `elapsed` and `time`, and
    returns the name. As Werkzeug's.

    A request waits until the one before it is done. One that waits for more than ten seconds is not profiled,
    and the stream says so: an application that sends requests to itself would wait for ever.

        application = ProfilerMiddleware(application, restrictions=(20,))
    """

    def __init__(
        self,
        app: WSGIApplication,
        stream: TextIO | None = sys.stdout,
        sort_by: Iterable[str] = ("time", "calls"),
        restrictions: Iterable[str | int | float] = (),
        profile_dir: str | os.PathLike[str] | None = None,
        filename_format: str | Callable[[Environ], str] = "{method}.{path}.{elapsed:.0f}ms.{time:.0f}.prof",
    ) -> None:
        self._app = app
        self._stream = stream
        self._sort_by = tuple(sort_by)
        self._restrictions = tuple(restrictions)
        self._profile_dir = profile_dir
        self._filename_format = filename_format

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Call the application under a profile, and return its whole body."""
        path = environ.get("PATH_INFO", "")  # the application may change it
        if not _PROFILING.acquire(timeout=_WAIT_S):
            if self._stream is not None:
                print(
                    f"PATH: {path!r} is not profiled: others still are after {_WAIT_S:g} s", file=self._stream
                )
            return self._app(environ, start_response)
        try:
            profile = Profile()
            blocks: list[bytes] = []
            begun = time.perf_counter()
            profile.runcall(self._run, environ, start_response, blocks)
            elapsed_ms = (time.perf_counter() - begun) * 1000
            if self._profile_dir is not None:
                profile.dump_stats(os.path.join(self._profile_dir, self._filename(environ, path, elapsed_ms)))
            if self._stream is not None:
                self._print(profile, path, self._stream)
        finally:
            _PROFILING.release()
        return [b"".join(blocks)]

    def _run(self, environ: Environ, start_response: StartResponse, blocks: list[bytes]) -> None:
        def collecting(
            status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
        ) -> Write:
            if exc_info is not None:
                # Nothing has left yet, so the page about the error takes the place of what was there before
                # it.
                blocks.clear()
            start_response(status, headers, exc_info)
            return blocks.append

        result: Any = self._app(environ, collecting)
        try:
            blocks.extend(result)
        finally:
            if hasattr(result, "close"):
                result.close()

    def _filename(self, environ: Environ, path: str, elapsed_ms: float) -> str:
        if callable(self._filename_format):
            environ["werkzeug.profiler"] = {"elapsed": elapsed_ms, "time": time.time()}
            return self._filename_format(environ)
        return self._filename_format.format(
            method=environ["REQUEST_METHOD"],
            path=path.strip("/").replace("/", ".")[:_MAX_PATH] or "root",
            elapsed=elapsed_ms,
            time=time.time(),
        )

    def _print(self, profile: Profile, path: str, stream: TextIO) -> None:
        print("-" * 80, f"PATH: {path!r}", sep="\n", file=stream)
        pstats.Stats(profile, stream=stream).sort_stats(*self._sort_by).print_stats(*self._restrictions)
        print("-" * 80, "\n", sep="", file=stream)
