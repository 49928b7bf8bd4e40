"""Real frameworks through real sockets, with a real HTTP client."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest
from support.server import TESTS, Server

CONTENT = bytes(range(256)) * 2000
"""An upload beyond what is kept in memory."""


@dataclass
class RunningDeployment:
    name: str
    server: Server
    client: httpx.Client


APPLICATIONS = {
    "flask": "apps.flask_site:app",
    "bottle": "apps.bottle_site",
    "falcon": "apps.falcon_site:app",
    "pyramid": "apps.pyramid_site:make_app()",
    "webob": "apps.webob_site:app",
}


@pytest.fixture(scope="module", params=APPLICATIONS)
def deployment(request: pytest.FixtureRequest) -> Iterator[RunningDeployment]:
    pytest.importorskip(request.param)
    with (
        Server(APPLICATIONS[request.param], threads=4) as server,
        httpx.Client(base_url=server.url, timeout=10) as client,
    ):
        yield RunningDeployment(request.param, server, client)


def test_query_and_path(deployment: RunningDeployment) -> None:
    response = deployment.client.get("/hello/J%C3%BCrgen", params={"a": "b c", "d": "\u2603"}).json()
    assert (response["name"], response["query"]) == ("J\xfcrgen", {"a": "b c", "d": "\u2603"})


def test_form(deployment: RunningDeployment) -> None:
    data = {"one": "1", "two": "zwei \xfc & more"}
    assert deployment.client.post("/form", data=data).json() == data


def test_json(deployment: RunningDeployment) -> None:
    data = {"a": [1, 2, {"b": None}], "text": "\u2603" * 1000}
    assert deployment.client.post("/json", json=data).json() == data


def test_upload(deployment: RunningDeployment) -> None:
    response = deployment.client.post(
        "/upload", files={"file": ("data.bin", CONTENT, "application/octet-stream")}
    )
    assert response.json() == {"name": "data.bin", "size": len(CONTENT), "total": sum(CONTENT)}


def test_chunked_upload(deployment: RunningDeployment) -> None:
    """A framework that looks at wsgi.input_terminated, or at nothing, may see the body; none may hang."""

    def pieces() -> Iterator[bytes]:
        yield b'{"a": '
        yield b"1}"

    response = deployment.client.post("/json", content=pieces(), headers={"Content-Type": "application/json"})
    if deployment.name in {"flask", "bottle"}:
        assert response.json() == {"a": 1}
    assert deployment.client.get("/hello/x").status_code == 200


def test_stream(deployment: RunningDeployment) -> None:
    response = deployment.client.get("/stream")
    assert response.text == "".join(f"/stream {number}\n" for number in range(1000))


def test_file(deployment: RunningDeployment) -> None:
    response = deployment.client.get("/file")
    source = TESTS / "apps" / f"{deployment.name}_site.py"
    assert response.content == source.read_bytes()
    assert response.headers["Content-Type"].startswith("text/x-python")


def test_head(deployment: RunningDeployment) -> None:
    response = deployment.client.head("/file")
    assert response.status_code in {200, 405}
    assert response.content == b""
    assert deployment.client.get("/hello/x").status_code == 200


def test_missing_page(deployment: RunningDeployment) -> None:
    assert deployment.client.get("/no/such/page").status_code == 404


def test_error(deployment: RunningDeployment) -> None:
    position = deployment.server.error_log.position()
    assert deployment.client.get("/broken").status_code == 500
    deployment.server.error_log.wait_for("RuntimeError: broken on purpose", since=position)
    assert deployment.client.get("/hello/x").status_code == 200


def test_many_clients_at_once(deployment: RunningDeployment) -> None:
    def ask(number: int) -> bool:
        with httpx.Client(base_url=deployment.server.url, timeout=10) as client:
            return all(client.get(f"/hello/{number}").json()["name"] == str(number) for _ in range(5))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(24)))


@pytest.fixture(scope="module")
def flask() -> Iterator[httpx.Client]:
    with Server(APPLICATIONS["flask"], threads=4) as server, httpx.Client(base_url=server.url) as client:
        yield client


def test_flask_session_cookie(flask: httpx.Client) -> None:
    assert [flask.get("/count").json() for _ in range(3)] == [1, 2, 3]


def test_flask_conditional_and_ranges(flask: httpx.Client) -> None:
    first = flask.get("/file")
    again = flask.get("/file", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = flask.get("/file", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, first.content[10:20])


def test_flask_file_from_memory(flask: httpx.Client) -> None:
    assert flask.get("/memory").content == b"0123456789" * 1000


def test_flask_redirect(flask: httpx.Client) -> None:
    response = flask.get("/redirect", follow_redirects=True)
    assert response.json()["url"] == f"{flask.base_url}/hello/elsewhere".replace("//hello", "/hello")


@pytest.fixture(scope="module")
def django(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    pytest.importorskip("django")
    environment = {"DJANGOSITE_FOLDER": str(tmp_path_factory.mktemp("djangosite"))}
    subprocess.run(
        [sys.executable, "-m", "apps.djangosite.prepare"],
        cwd=TESTS,
        env={**os.environ, **environment},
        check=True,
        timeout=60,
    )
    with (
        Server("apps.djangosite.wsgi", threads=4, environment=environment) as server,
        httpx.Client(base_url=server.url, follow_redirects=True, timeout=20) as client,
    ):
        yield client


def csrf_token(page: httpx.Response) -> str:
    match = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert match, page.text
    return match[1]


def test_django_page_with_session(django: httpx.Client) -> None:
    responses = [django.get("/hello/J%C3%BCrgen/", params={"q": "\u2603"}).json() for _ in range(2)]
    assert [response["visits"] for response in responses] == [1, 2]
    assert (responses[0]["name"], responses[0]["query"]) == ("J\xfcrgen", {"q": "\u2603"})


def test_django_redirects_to_the_slash(django: httpx.Client) -> None:
    response = django.get("/hello/x", follow_redirects=False)
    assert (response.status_code, response.headers["Location"]) == (301, "/hello/x/")


def test_django_admin(django: httpx.Client) -> None:
    page = django.get("/admin/")
    assert "Log in" in page.text
    form = {"username": "admin", "password": "correct horse", "csrfmiddlewaretoken": csrf_token(page)}
    page = django.post("/admin/login/", params={"next": "/admin/"}, data=form)
    assert "Site administration" in page.text
    page = django.get("/admin/uploads/upload/add/")
    page = django.post(
        "/admin/uploads/upload/add/",
        data={"title": "from the admin", "csrfmiddlewaretoken": csrf_token(page)},
        files={"file": ("admin.txt", b"from the admin")},
    )
    assert "was added successfully" in page.text


@pytest.mark.parametrize(
    "path", ["admin/css/base.css", "admin/js/vendor/jquery/jquery.js", "uploads/site.css"]
)
def test_django_static_files(django: httpx.Client, path: str) -> None:
    response = django.get(f"/static/{path}")
    assert response.status_code == 200
    assert len(response.content) == int(response.headers["Content-Length"])
    again = django.get(f"/static/{path}", headers={"If-Modified-Since": response.headers["Last-Modified"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("size", [10, 100_000, 5_000_000])
def test_django_file_upload_and_download(django: httpx.Client, size: int) -> None:
    content = (CONTENT * (size // len(CONTENT) + 1))[:size]
    token = csrf_token(django.get("/uploads/"))
    response = django.post(
        "/uploads/",
        data={"title": f"{size}.bin", "csrfmiddlewaretoken": token},
        files={"file": (f"{size}.bin", content)},
    )
    assert response.content == content
    assert f'filename="{size}.bin"' in response.headers["Content-Disposition"]
    assert f"{size}.bin" in django.get("/uploads/").text


def test_django_stream(django: httpx.Client) -> None:
    assert django.get("/stream/").text == "".join(f"line {number}\n" for number in range(1000))


def test_django_error_page(django: httpx.Client) -> None:
    assert django.get("/broken/").status_code == 500
    assert django.get("/no/such/page/").status_code == 404


def test_django_uploads_from_many_clients(django: httpx.Client) -> None:
    token = csrf_token(django.get("/uploads/"))

    def upload(number: int) -> bool:
        content = bytes([number]) * 50_000
        form = {"title": f"many-{number}", "csrfmiddlewaretoken": token}
        response = django.post("/uploads/", data=form, files={"file": (f"many-{number}.bin", content)})
        return response.content == content

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(upload, range(12)))
