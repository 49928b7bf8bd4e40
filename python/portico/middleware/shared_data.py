"""Files beside an application: of a directory, single ones, or the data of a package.

Receives a request; responds to it where its path is that of a file that is exported, and hands on every other
one to the application. Runs in the calling thread; the server sends the file (`wsgi.file_wrapper`). Which
part of the file is sent, if any, is decided by `conditional.py`, `ranges.py` and `precompressed.py`.
"""

from __future__ import annotations

import importlib.util
import mimetypes
import os
import posixpath
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import formatdate
from fnmatch import fnmatch
from io import BytesIO
from time import time
from wsgiref.util import FileWrapper
from zlib import crc32

from portico.middleware.conditional import NOT_MODIFIED, is_range_due, status_due
from portico.middleware.precompressed import SUFFIXES, compressed_siblings, preferred_coding
from portico.middleware.ranges import BLOCK_BYTES, Multipart, Section, content_range, requested_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO, Any, TypeAlias

    from portico.types import Environ, StartResponse, WSGIApplication

    Export: TypeAlias = "str | os.PathLike[str] | tuple[str, str] | list[str]"
    Opener: TypeAlias = Callable[[], tuple[IO[bytes], datetime, int]]
    Loader: TypeAlias = Callable[[str | None], tuple[str | None, Opener | None]]

# Text beside text/* and *+xml, whose charset can be given.
_TEXT = {
    "application/ecmascript",
    "application/javascript",
    "application/sql",
    "application/xml",
    "application/xml-dtd",
    "application/xml-external-parsed-entity",
}
# What a compressed file is if it is asked for by its own name; `mimetypes` says what is in it.
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


class SharedDataMiddleware:
    """Send files at the paths of `exports`, and call `app` for everything else.

    `exports` has for each path a directory, a file, or the name of a package with a directory in it, as a
    pair: a dict, or an iterable of items of one. The first whose file exists counts. `disallow` is a pattern
    of `fnmatch`, or several, for names of files that are not sent. With `cache` a response has an ETag and
    may be kept for `cache_timeout` seconds. `fallback_mimetype` is the type of files whose name says nothing.
    As Werkzeug's; there is more than in that one:

    * byte ranges, also several at a time (RFC 9110 14), and If-Match, If-Unmodified-Since and If-Range;
    * with `precompressed`, `app.js.br` or `app.js.gz` is sent in the place of `app.js` to clients that accept
      it, unless it is older;
    * a HEAD request opens the file, and sends nothing of it.

    Raises TypeError or ValueError where an export is none.

        application = SharedDataMiddleware(application, {"/static": "static", "/shop": ("shop", "static")})
    """

    def __init__(
        self,
        app: WSGIApplication,
        exports: Mapping[str, Export] | Iterable[tuple[str, Export]],
        disallow: str | Iterable[str] | None = None,
        cache: bool = True,
        cache_timeout: int = 60 * 60 * 12,
        fallback_mimetype: str = "application/octet-stream",
        *,
        precompressed: bool = True,
    ) -> None:
        self.app = app
        self.disallow = (disallow,) if isinstance(disallow, str) else tuple(disallow or ())
        self.cache = cache
        self.cache_timeout = cache_timeout
        self.fallback_mimetype = fallback_mimetype
        self.precompressed = precompressed
        items = exports.items() if isinstance(exports, Mapping) else exports
        self.exports = [(path, self._loader(path, export)) for path, export in items]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Send the file at the path of the request, or call the application."""
        # PEP 3333 "Unicode Issues": the bytes of the path, each as a character.
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
        name, opener = self._find(path)
        if name is None or opener is None or not self.is_allowed(name):
            return self.app(environ, start_response)
        try:
            chosen = self._choose(environ, name, opener)
        except FileNotFoundError:  # removed a moment ago
            return self.app(environ, start_response)
        try:
            return self._respond(environ, start_response, chosen)
        except BaseException:
            chosen.file.close()
            raise

    def is_allowed(self, filename: str) -> bool:
        """Say whether a file of this name may be sent; for subclasses to decide otherwise."""
        return not any(fnmatch(filename, pattern) for pattern in self.disallow)

    def generate_etag(self, mtime: datetime, file_size: int, real_filename: str) -> str:
        """Return the entity tag of a file without its quotes: another one for any other content."""
        checksum = crc32(real_filename.encode("utf-8", "surrogateescape"))
        return f"{int(mtime.timestamp() * 1_000_000):x}-{file_size:x}-{checksum:x}"

    # --- Where files are. A loader takes what follows the exported path, None if nothing does, and returns
    # the file's name and what opens it, or twice None.

    def get_file_loader(self, filename: str) -> Loader:
        """Return what finds this one file."""
        return lambda path: (os.path.basename(filename), _opener(filename))

    def get_directory_loader(self, directory: str) -> Loader:
        """Return what finds the files below `directory`. Symbolic links are followed."""

        def load(path: str | None) -> tuple[str | None, Opener | None]:
            inside = "" if path is None else _inside(path)
            if inside is None:
                return None, None
            # It may be a file that was not there at the start.
            filename = posixpath.join(directory or ".", inside) if inside else directory
            return (
                (os.path.basename(filename), _opener(filename)) if os.path.isfile(filename) else (None, None)
            )

        return load

    def get_package_loader(self, package: str, package_path: str) -> Loader:
        """Return what finds the files below a directory of a package, also of one in a zip archive."""
        spec = importlib.util.find_spec(package)
        reader: Any = getattr(spec and spec.loader, "get_resource_reader", lambda name: None)(package)
        if reader is None or not hasattr(reader, "files"):
            raise ValueError(f"exports: expected a package with data in it, got {package!r}, which is none")
        # Every worker has to say the same time for files that have none of their own.
        archive = getattr(spec and spec.loader, "archive", None)
        otherwise = os.path.getmtime(archive) if archive else time()

        def load(path: str | None) -> tuple[str | None, Opener | None]:
            inside = _inside(path)
            if inside is None:
                return None, None
            resource = reader.files()
            for part in posixpath.join(package_path, inside).split("/"):
                resource = resource.joinpath(part)
            if not resource.is_file():
                return None, None
            return posixpath.basename(inside), lambda: _opened(resource.open("rb"), otherwise)

        return load

    def _loader(self, path: str, export: Export) -> Loader:
        if isinstance(export, str | os.PathLike):
            name = os.fspath(export)
            return self.get_file_loader(name) if os.path.isfile(name) else self.get_directory_loader(name)
        if isinstance(export, tuple | list) and len(export) == 2:
            return self.get_package_loader(*export)
        raise TypeError(
            f"exports: {path}: expected a path, or a pair of a package and a path, got {export!r}"
        )

    def _find(self, path: str) -> tuple[str | None, Opener | None]:
        for exported, loader in self.exports:
            below = exported if exported.endswith("/") else exported + "/"
            found: tuple[str | None, Opener | None] = (None, None)
            if path == exported:
                found = loader(None)
            if found[1] is None and path.startswith(below):
                found = loader(path[len(below) :])
            if found[1] is not None:
                return found
        return None, None

    def _choose(self, environ: Environ, name: str, opener: Opener) -> _Representation:
        """Open the file, or a compressed one beside it."""
        chosen = _Representation(*opener(), name=name)
        chosen.content_type = self._content_type(name)
        path = getattr(chosen.file, "name", None)
        if not self.precompressed or not isinstance(path, str | os.PathLike):
            return chosen
        siblings = compressed_siblings(os.fspath(path), chosen.modified.timestamp())
        siblings = {key: path for key, path in siblings.items() if self.is_allowed(os.path.basename(path))}
        chosen.varies = bool(siblings)
        coding = preferred_coding(environ.get("HTTP_ACCEPT_ENCODING", ""), siblings)
        if coding is not None:
            chosen.file.close()
            chosen.file, chosen.modified, chosen.size = _opener(siblings[coding])()
            chosen.name += SUFFIXES[coding]
            chosen.coding = coding
        return chosen

    def _content_type(self, name: str) -> str:
        guessed, coding = mimetypes.guess_type(name)
        if coding is not None:
            guessed = _COMPRESSED.get(coding)
        kind = guessed or self.fallback_mimetype
        is_text = kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXT
        return f"{kind}; charset=utf-8" if is_text and ";" not in kind else kind

    # --- What is sent of a file

    def _respond(
        self, environ: Environ, start_response: StartResponse, chosen: _Representation
    ) -> Iterable[bytes]:
        now, modified_s = time(), int(chosen.modified.timestamp())
        etag = None
        headers = [("Date", formatdate(now, usegmt=True))]
        if chosen.varies:
            headers.append(("Vary", "Accept-Encoding"))
        if self.cache:
            etag = f'"{self.generate_etag(chosen.modified, chosen.size, chosen.name)}"'
            headers += [
                ("ETag", etag),
                ("Cache-Control", f"max-age={self.cache_timeout}, public"),
                ("Expires", formatdate(now + self.cache_timeout, usegmt=True)),
            ]
            status = status_due(environ, etag, modified_s)
            if status is not None:
                chosen.file.close()
            if status == NOT_MODIFIED:
                start_response(status, headers)
                return []
            if status is not None:
                return _sentence(
                    environ, start_response, status, headers, "The file is another one by now.\n"
                )
        else:
            headers.append(("Cache-Control", "public"))
        headers += [("Last-Modified", formatdate(modified_s, usegmt=True)), ("Accept-Ranges", "bytes")]
        method, wanted = environ.get("REQUEST_METHOD"), environ.get("HTTP_RANGE")
        ranges = None
        if method == "GET" and wanted is not None and is_range_due(environ, etag, modified_s):
            ranges = requested_ranges(wanted, chosen.size)
        if ranges == []:
            headers.append(("Content-Range", f"bytes */{chosen.size}"))
            text = f"The file has {chosen.size} bytes.\n"
            chosen.file.close()
            return _sentence(environ, start_response, "416 Range Not Satisfiable", headers, text)
        if chosen.coding is not None:
            headers.append(("Content-Encoding", chosen.coding))
        if ranges is not None:
            return _parts(environ, start_response, headers, chosen, ranges)
        headers += [("Content-Type", chosen.content_type), ("Content-Length", str(chosen.size))]
        start_response("200 OK", headers)
        if method == "HEAD":
            chosen.file.close()
            return []
        return _wrapped(environ, chosen.file)


class _Representation:
    """An open file as it is to be sent (RFC 9110 3.2); the times and sizes are its own."""

    __slots__ = ("coding", "content_type", "file", "modified", "name", "size", "varies")

    def __init__(self, file: IO[bytes], modified: datetime, size: int, *, name: str) -> None:
        self.file = file
        self.modified = modified
        self.size = size
        self.name = name
        self.content_type = ""
        self.coding: str | None = None
        self.varies = False


def _parts(
    environ: Environ,
    start_response: StartResponse,
    headers: list[tuple[str, str]],
    chosen: _Representation,
    ranges: list[tuple[int, int]],
) -> Iterable[bytes]:
    """Respond with one range, or with several."""
    status = "206 Partial Content"
    if len(ranges) > 1:
        body = Multipart(chosen.file, ranges, chosen.size, chosen.content_type)
        headers += [("Content-Type", body.content_type), ("Content-Length", str(body.content_length))]
        start_response(status, headers)
        return body
    ((start, stop),) = ranges
    headers += [
        ("Content-Type", chosen.content_type),
        ("Content-Range", content_range(start, stop, chosen.size)),
        ("Content-Length", str(stop - start)),
    ]
    start_response(status, headers)
    section = Section(chosen.file, start, stop)
    # A file that is sent to its end may be sent by the kernel; few servers end it at Content-Length.
    return _wrapped(environ, chosen.file if stop == chosen.size else section)


def _sentence(
    environ: Environ, start_response: StartResponse, status: str, headers: list[tuple[str, str]], text: str
) -> Iterable[bytes]:
    """Respond without the file."""
    body = text.encode()
    headers += [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, headers)
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]


def _wrapped(environ: Environ, file: Any) -> Iterable[bytes]:
    """Let the server send it (PEP 3333 "Optional Platform-Specific File Handling")."""
    wrapper: Callable[[Any, int], Iterable[bytes]] = environ.get("wsgi.file_wrapper", FileWrapper)
    return wrapper(file, BLOCK_BYTES)


def _opener(filename: str) -> Opener:
    return lambda: _opened(open(filename, "rb"), 0.0)


def _opened(file: IO[bytes], otherwise: float) -> tuple[IO[bytes], datetime, int]:
    """Return an open file with its last modification and its size; one out of an archive is read into
    memory."""
    try:
        status = os.fstat(file.fileno())
        return file, datetime.fromtimestamp(status.st_mtime, tz=timezone.utc), status.st_size
    except OSError:
        with file:
            data = file.read()
        return BytesIO(data), datetime.fromtimestamp(otherwise, tz=timezone.utc), len(data)


def _inside(path: str | None) -> str | None:
    """Return a path of a URL in its shortest form, None if it is none or leads out of where it starts."""
    if not path:
        return None
    inside = posixpath.normpath(path)
    if inside.startswith(("/", "../")) or inside in (".", "..") or (os.sep != "/" and os.sep in inside):
        return None
    return inside
