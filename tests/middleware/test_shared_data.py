"""SharedDataMiddleware: which file is sent, as what, and which part of it."""

from __future__ import annotations

import gzip
import io
import os
import sys
import zipfile
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from portico.middleware import SharedDataMiddleware

from .calling import environ_of, fetch, shows_path

MODIFIED_S = 1_700_000_000
TEXT = b"0123456789" * 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`shared` with files of a known age, and a file beside it that nobody may see."""
    files = {
        "shared/page.txt": TEXT,
        "shared/sub/app.js": b"// plain",
        "shared/sub/app.js.gz": gzip.compress(b"// plain"),
        "shared/sub/app.js.br": b"(brotli)",
        "shared/secret.py": b"",
        "shared/empty": b"",
        "shared/größe.xml": b"<a/>",
        "shared/data.tar.gz": b"",
        "outside": b"secret",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (MODIFIED_S, MODIFIED_S))
    return tmp_path


def shared(folder: Path, **arguments: Any) -> SharedDataMiddleware:
    return SharedDataMiddleware(shows_path, {"/static": str(folder / "shared")}, **arguments)


def test_a_file_is_sent_whole(folder: Path) -> None:
    response = fetch(shared(folder), "/static/page.txt")
    headers = dict(response.headers)
    date, expires = (parsedate_to_datetime(headers.pop(name)) for name in ("Date", "Expires"))
    assert (expires - date).total_seconds() == 12 * 3600
    assert headers.pop("ETag").strip('"')
    assert headers == {
        "Cache-Control": "max-age=43200, public",
        "Last-Modified": formatdate(MODIFIED_S, usegmt=True),
        "Accept-Ranges": "bytes",
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": "100",
    }
    assert (response.status, response.body) == ("200 OK", TEXT)


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        pytest.param("/static/größe.xml", "xml; charset=utf-8", id="xml"),
        pytest.param("/static/sub/app.js", "javascript; charset=utf-8", id="javascript"),
        pytest.param("/static/empty", "application/octet-stream", id="unknown"),
        pytest.param("/static/data.tar.gz", "application/gzip", id="compressed"),
        pytest.param("/static/sub/app.js.gz", "application/gzip", id="compressed-by-name"),
    ],
)
def test_the_type_is_that_of_the_name(folder: Path, path: str, content_type: str) -> None:
    response = fetch(shared(folder), path)
    assert response.headers["Content-Type"].endswith(content_type)
    assert "Content-Encoding" not in response.headers


def test_the_type_of_unknown_names_may_be_given(folder: Path) -> None:
    response = fetch(shared(folder, fallback_mimetype="text/plain"), "/static/empty")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/static",
        "/static/",
        "/static/sub",
        "/static/missing",
        "/static/../outside",
        "/static/sub/../../outside",
        "/static//outside",
        "/static/..",
        "/static/.",
        "/static/page.txt\0",
        "/staticpage.txt",
        "/page.txt",
    ],
)
def test_everything_else_is_the_applications(folder: Path, path: str) -> None:
    assert fetch(shared(folder), path).body == f"|{path}".encode()


def test_an_absolute_path_leads_nowhere(folder: Path) -> None:
    path = f"/static/{folder}/outside"
    assert fetch(shared(folder), path).body == f"|{path}".encode()


def test_a_path_within_is_shortened(folder: Path) -> None:
    assert fetch(shared(folder), "/static/sub/../page.txt").body == TEXT


def test_single_files_and_the_first_export_that_has_it(folder: Path) -> None:
    exports = [
        ("/", folder / "shared" / "sub"),
        ("/", str(folder / "shared")),
        ("/icon", str(folder / "shared" / "page.txt")),
    ]
    application = SharedDataMiddleware(shows_path, exports)
    assert fetch(application, "/app.js").body == b"// plain"
    assert fetch(application, "/page.txt").body == TEXT
    assert fetch(application, "/icon").body == TEXT
    assert fetch(application, "/icon").headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("disallow", ["*.py", ["*.txt.*", "*.py"]])
def test_disallowed_names_are_not_sent(folder: Path, disallow: Any) -> None:
    application = shared(folder, disallow=disallow)
    assert fetch(application, "/static/secret.py").body == b"|/static/secret.py"
    assert fetch(application, "/static/page.txt").body == TEXT


def test_a_file_may_appear_later(folder: Path) -> None:
    """As with Werkzeug's: only whether it is a file or a directory is found out at the start."""
    application = SharedDataMiddleware(shows_path, {"/robots.txt": str(folder / "robots.txt")})
    assert fetch(application, "/robots.txt").body == b"|/robots.txt"
    (folder / "robots.txt").write_bytes(b"later")
    assert fetch(application, "/robots.txt").body == b"later"


def test_a_subclass_may_disallow(folder: Path) -> None:
    class Careful(SharedDataMiddleware):
        def is_allowed(self, filename: str) -> bool:
            return filename != "page.txt"

    application = Careful(shows_path, {"/static": str(folder / "shared")})
    assert fetch(application, "/static/page.txt").body == b"|/static/page.txt"


@pytest.mark.parametrize("export", [7, ("a", "b", "c"), None])
def test_an_export_that_is_none_is_an_error(export: Any) -> None:
    with pytest.raises(
        TypeError, match=r"exports: /x: expected a path, or a pair of a package and a path, got "
    ):
        SharedDataMiddleware(shows_path, {"/x": export})


def test_a_package_without_data_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"expected a package with data in it, got 'nosuchpackage', which is none"
    ):
        SharedDataMiddleware(shows_path, {"/x": ("nosuchpackage", "data")})


# --- Package data


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_data_of_a_package(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"packed_in_{kind}"
    files = {
        f"{name}/__init__.py": "",
        f"{name}/data/sub/page.txt": "found",
        f"{name}/private.txt": "private",
    }
    where = folder / kind
    if kind == "archive":
        with zipfile.ZipFile(where, "w") as archive:
            for file, text in files.items():
                archive.writestr(file, text)
    else:
        for file, text in files.items():
            (where / file).parent.mkdir(parents=True, exist_ok=True)
            (where / file).write_text(text)
    monkeypatch.syspath_prepend(str(where))
    applications = [SharedDataMiddleware(shows_path, {"/pkg": (name, "data")}) for _ in range(2)]
    first, second = (fetch(application, "/pkg/sub/page.txt") for application in applications)
    assert (first.status, first.body) == ("200 OK", b"found")
    assert first.headers["Content-Length"] == "5"
    # Two workers have the same tag for it.
    assert first.headers["ETag"] == second.headers["ETag"]
    assert fetch(applications[0], "/pkg/sub").body == b"|/pkg/sub"
    assert fetch(applications[0], "/pkg/../private.txt").body == b"|/pkg/../private.txt"
    assert fetch(applications[0], "/pkg/missing/page.txt").body == b"|/pkg/missing/page.txt"
    assert name not in sys.modules


# --- Conditions


def test_a_client_that_has_it_gets_no_body(folder: Path) -> None:
    application = shared(folder)
    whole = fetch(application, "/static/page.txt")
    response = fetch(application, "/static/page.txt", HTTP_IF_NONE_MATCH=whole.headers["ETag"])
    assert (response.status, response.body) == ("304 Not Modified", b"")
    assert set(response.headers) == {"Date", "ETag", "Cache-Control", "Expires"}
    assert response.headers["ETag"] == whole.headers["ETag"]
    since = fetch(application, "/static/page.txt", HTTP_IF_MODIFIED_SINCE=whole.headers["Last-Modified"])
    assert since.status == "304 Not Modified"


def test_the_tag_changes_with_the_file(folder: Path) -> None:
    application = shared(folder)
    path = folder / "shared" / "page.txt"
    tags = [fetch(application, "/static/page.txt").headers["ETag"]]
    os.utime(path, ns=(0, MODIFIED_S * 10**9 + 1000))
    tags.append(fetch(application, "/static/page.txt").headers["ETag"])
    path.write_bytes(TEXT + b"!")
    os.utime(path, (MODIFIED_S, MODIFIED_S))
    tags.append(fetch(application, "/static/page.txt").headers["ETag"])
    assert len(set(tags)) == 3


def test_a_failed_precondition_is_a_sentence(folder: Path) -> None:
    response = fetch(shared(folder), "/static/page.txt", HTTP_IF_MATCH='"other"')
    assert (response.status, response.body) == (
        "412 Precondition Failed",
        b"The file is another one by now.\n",
    )


def test_a_response_to_head_has_no_body_whatever_it_says(folder: Path) -> None:
    whole, failed = (
        fetch(shared(folder), "/static/page.txt", "HEAD", **fields)
        for fields in ({}, {"HTTP_IF_MATCH": '"other"'})
    )
    assert (whole.status, whole.headers["Content-Length"], whole.body) == ("200 OK", "100", b"")
    assert (failed.status, failed.body) == ("412 Precondition Failed", b"")


def test_without_cache_there_is_nothing_to_keep(folder: Path) -> None:
    application = shared(folder, cache=False)
    since = formatdate(MODIFIED_S, usegmt=True)
    response = fetch(application, "/static/page.txt", HTTP_IF_MODIFIED_SINCE=since, HTTP_IF_NONE_MATCH="*")
    assert (response.status, response.body) == ("200 OK", TEXT)
    assert response.headers["Cache-Control"] == "public"
    assert {"ETag", "Expires"} & set(response.headers) == set()


def test_the_time_to_keep_may_be_given(folder: Path) -> None:
    response = fetch(shared(folder, cache_timeout=60), "/static/page.txt")
    assert response.headers["Cache-Control"] == "max-age=60, public"


# --- Ranges


@pytest.mark.parametrize(
    ("value", "content_range", "body"),
    [
        pytest.param("bytes=2-5", "bytes 2-5/100", b"2345", id="in-the-middle"),
        pytest.param("bytes=98-", "bytes 98-99/100", b"89", id="to-the-end"),
        pytest.param("bytes=-3", "bytes 97-99/100", b"789", id="suffix"),
        pytest.param("bytes=0-99", "bytes 0-99/100", TEXT, id="all"),
    ],
)
def test_a_range_is_sent(folder: Path, value: str, content_range: str, body: bytes) -> None:
    response = fetch(shared(folder), "/static/page.txt", HTTP_RANGE=value)
    assert (response.status, response.body) == ("206 Partial Content", body)
    assert response.headers["Content-Range"] == content_range
    assert response.headers["Content-Length"] == str(len(body))
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_several_ranges_are_parts(folder: Path) -> None:
    response = fetch(shared(folder), "/static/page.txt", HTTP_RANGE="bytes=0-1,-2")
    assert response.status == "206 Partial Content"
    assert response.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert "Content-Range" not in response.headers
    assert response.headers["Content-Length"] == str(len(response.body))
    assert response.body.count(b"Content-Type: text/plain; charset=utf-8\r\n") == 2
    assert b"Content-Range: bytes 98-99/100\r\n\r\n89\r\n--" in response.body


def test_a_range_after_the_end_is_a_sentence(folder: Path) -> None:
    response = fetch(shared(folder), "/static/page.txt", HTTP_RANGE="bytes=100-")
    assert (response.status, response.body) == ("416 Range Not Satisfiable", b"The file has 100 bytes.\n")
    assert response.headers["Content-Range"] == "bytes */100"


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        pytest.param("HEAD", {}, id="head"),
        pytest.param("POST", {}, id="post"),
        pytest.param("GET", {"HTTP_IF_RANGE": '"other"'}, id="other-tag"),
        pytest.param("GET", {"HTTP_RANGE": "lines=0-1"}, id="other-unit"),
    ],
)
def test_other_requests_get_all_of_it(folder: Path, method: str, fields: dict[str, str]) -> None:
    response = fetch(shared(folder), "/static/page.txt", method, **{"HTTP_RANGE": "bytes=0-1", **fields})
    assert (response.status, response.headers["Content-Length"]) == ("200 OK", "100")
    assert response.body == (b"" if method == "HEAD" else TEXT)


def test_a_range_of_what_the_client_has(folder: Path) -> None:
    application = shared(folder)
    etag = fetch(application, "/static/page.txt").headers["ETag"]
    response = fetch(application, "/static/page.txt", HTTP_RANGE="bytes=0-1", HTTP_IF_RANGE=etag)
    assert (response.status, response.body) == ("206 Partial Content", b"01")


# --- Compressed files


@pytest.mark.parametrize(
    ("accepted", "coding", "body"),
    [
        pytest.param("gzip, br", "br", b"(brotli)", id="br"),
        pytest.param("gzip", "gzip", b"// plain", id="gzip"),
        pytest.param("identity", None, b"// plain", id="none"),
        pytest.param(None, None, b"// plain", id="not-said"),
    ],
)
def test_a_compressed_file_is_sent(
    folder: Path, accepted: str | None, coding: str | None, body: bytes
) -> None:
    fields = {} if accepted is None else {"HTTP_ACCEPT_ENCODING": accepted}
    response = fetch(shared(folder), "/static/sub/app.js", **fields)
    assert response.headers.get("Content-Encoding") == coding
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.headers["Content-Type"].endswith("javascript; charset=utf-8")
    assert response.headers["Content-Length"] == str(len(response.body))
    assert (gzip.decompress(response.body) if coding == "gzip" else response.body) == body


def test_each_coding_has_a_tag_of_its_own(folder: Path) -> None:
    application = shared(folder)
    tags = {
        accepted: fetch(application, "/static/sub/app.js", HTTP_ACCEPT_ENCODING=accepted).headers["ETag"]
        for accepted in ("identity", "gzip", "br")
    }
    assert len(set(tags.values())) == 3
    for accepted in tags:
        response = fetch(
            application,
            "/static/sub/app.js",
            HTTP_ACCEPT_ENCODING=accepted,
            HTTP_IF_NONE_MATCH=tags["gzip"],
        )
        assert response.status == ("304 Not Modified" if accepted == "gzip" else "200 OK")
        assert response.headers["Vary"] == "Accept-Encoding"


def test_a_range_is_one_of_the_compressed_file(folder: Path) -> None:
    response = fetch(shared(folder), "/static/sub/app.js", HTTP_ACCEPT_ENCODING="br", HTTP_RANGE="bytes=1-3")
    assert (response.body, response.headers["Content-Encoding"]) == (b"bro", "br")


@pytest.mark.parametrize("reason", ["older", "disallowed", "switched-off"])
def test_compressed_files_that_are_not_sent(folder: Path, reason: str) -> None:
    arguments: dict[str, Any] = {}
    if reason == "older":
        os.utime(folder / "shared/sub/app.js", (MODIFIED_S + 1, MODIFIED_S + 1))
    elif reason == "disallowed":
        arguments["disallow"] = ["*.gz", "*.br"]
    else:
        arguments["precompressed"] = False
    response = fetch(shared(folder, **arguments), "/static/sub/app.js", HTTP_ACCEPT_ENCODING="gzip, br")
    assert response.body == b"// plain"
    assert {"Vary", "Content-Encoding"} & set(response.headers) == set()


# --- Files are closed


class Wrapper:
    """What a server offers as `wsgi.file_wrapper`; keeps the files."""

    def __init__(self) -> None:
        self.files: list[Any] = []

    def __call__(self, file: Any, block_bytes: int) -> Any:
        self.files.append(file)
        return iter([])


@pytest.mark.parametrize(
    ("value", "is_a_file"), [("bytes=0-", True), ("bytes=5-", True), ("bytes=0-5", False)]
)
def test_the_server_sends_the_file_to_its_end(folder: Path, value: str, is_a_file: bool) -> None:
    wrapper = Wrapper()
    environ = environ_of("/static/page.txt", HTTP_RANGE=value, **{"wsgi.file_wrapper": wrapper})
    list(shared(folder)(environ, lambda *_: bytes))
    (file,) = wrapper.files
    assert hasattr(file, "fileno") is is_a_file
    if is_a_file:
        assert file.tell() == int(value[6:-1])
    file.close()


def test_a_file_is_closed_when_the_head_is_rejected(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[io.BufferedReader] = []
    application = shared(folder)
    find = application._find

    def finding(path: str) -> Any:
        name, opener = find(path)
        assert opener is not None

        def opening() -> Any:
            found = opener()
            opened.append(found[0])  # type: ignore[arg-type]
            return found

        return name, opening

    monkeypatch.setattr(application, "_find", finding)

    def start_response(*_: object) -> Any:
        raise ConnectionError

    for fields in (
        {},
        {"HTTP_RANGE": "bytes=0-1"},
        {"HTTP_RANGE": "bytes=0-1,4-5"},
        {"HTTP_IF_NONE_MATCH": "*"},
    ):
        with pytest.raises(ConnectionError):
            application(environ_of("/static/page.txt", **fields), start_response)
    assert [file.closed for file in opened] == [True] * 4
