"""The same middleware under portico and under the standard library's server, over sockets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from apps.filtered import make_application
from support.server import Server

CONTENT = bytes(range(256)) * 1024


class Silent(WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module", params=["portico", "wsgiref"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where a server is that sends `file.bin`; warnings are errors in it."""
    folder: Path = tmp_path_factory.mktemp("files")
    (folder / "file.bin").write_bytes(CONTENT)
    if request.param == "portico":
        environment = {"SHARED_FOLDER": str(folder), "PYTHONWARNINGS": "error"}
        with Server("apps.filtered:from_environment()", threads=4, environment=environment) as server:
            yield server.port
        assert "Traceback" not in server.final_log
        return
    with make_server("127.0.0.1", 0, make_application(str(folder)), handler_class=Silent) as standard:
        thread = threading.Thread(target=standard.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield standard.server_port
        standard.shutdown()
        thread.join(20)


def get(port: int, path: str, method: str = "GET", **fields: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("below", ["", "/linted", "/profiled"])
def test_whole_files_and_parts(port: int, below: str) -> None:
    path = f"{below}/files/file.bin"
    response, body = get(port, path)
    assert (response.status, body) == (200, CONTENT)
    etag = response.headers["ETag"]
    response, body = get(port, path, "HEAD")
    assert (response.status, body) == (200, b"")
    assert get(port, path, If_None_Match=etag)[0].status == 304
    for value, part in (("bytes=1000-2999", CONTENT[1000:3000]), ("bytes=-100000", CONTENT[-100000:])):
        response, body = get(port, path, Range=value, If_Range=etag)
        assert (response.status, body) == (206, part)
    response, body = get(port, path, Range="bytes=0-9,100-199")
    assert (response.status, len(body)) == (206, int(response.headers["Content-Length"]))
    assert CONTENT[100:200] in body
    assert get(port, path, Range="bytes=999999999-")[0].status == 416


@pytest.mark.parametrize("below", ["", "/linted", "/profiled"])
def test_the_application_behind_all_of_them(port: int, below: str) -> None:
    _, body = get(port, f"{below}/a/b", X_Forwarded_For="192.0.2.7")
    assert body.decode() == f"192.0.2.7|{below}|/a/b\n"
