"""A generated file at work: the real reverse proxy with it, portico behind, a request through both."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.raw_client import Connection
from support.server import Server, free_port

from .made import generated
from .programs import let_others_in, running
from .test_agreement import keeps

LIMITS = ("--max-request-body", "100K", "--health-path", "/livez")
SPOOFED = {
    "X-Forwarded-For": "192.0.2.66",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=192.0.2.66;proto=https",
    "X-Request-ID": "spoofed",
    "X-Request-Start": "t=1",
}
PAIRS = [
    *(
        (proxy, scheme, "")
        for proxy in ("nginx", "apache")
        for scheme in ("http", "uwsgi", "fastcgi", "scgi")
    ),
    ("haproxy", "http", ""),
    ("haproxy", "http", "proxy=required"),
    ("haproxy", "fastcgi", ""),
]


class RunningDeployment:
    """portico behind a reverse proxy: `url` is the latter's, `portico_port` is 0 with a Unix socket."""

    def __init__(
        self, proxy: str, scheme: str, *, sends_proxy_header: bool, portico_port: int, url: str
    ) -> None:
        self.proxy = proxy
        self.scheme = scheme
        self.sends_proxy_header = sends_proxy_header
        self.portico_port = portico_port
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=20, trust_env=False)

    def environ(self, path: str, **arguments: Any) -> dict[str, str]:
        """What the application was given for a request."""
        response = self.http.get(path, **arguments)
        assert response.status_code == 200, response.text
        found: dict[str, str] = json.loads(response.text)["environ"]
        return found


@pytest.fixture(
    scope="module",
    params=[(*pair, place) for pair in PAIRS for place in ("tcp", "unix")],
    ids=lambda parts: "-".join(filter(None, parts)),
)
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningDeployment]:
    proxy, scheme, options, place = request.param
    folder = tmp_path_factory.mktemp("deployment")
    let_others_in(folder)
    files = folder / "files"
    files.mkdir()
    (files / "a file.txt").write_text("from the reverse proxy")
    port, portico_port = free_port(), free_port()
    path = folder / "portico.sock"
    bind = f"{scheme}+unix:{path}?mode=666" if place == "unix" else f"{scheme}://127.0.0.1:{portico_port}"
    bind += ("&" if "?" in bind else "?") + options if options else ""
    # The client of these tests comes from an address that is trusted by default.
    limits = (*LIMITS, "--forwarded-allow-ips", "none") if options else LIMITS
    static = ("--static", f"/static={files}") if proxy != "haproxy" else ()
    file = folder / ("haproxy.cfg" if proxy == "haproxy" else "site.conf")
    file.write_text(generated(proxy, "shop", "-b", bind, *limits, *static, "--listen", f"127.0.0.1:{port}"))
    with (
        Server("apps.mirror:application", threads=4, options=["-b", bind, *limits]),
        running(proxy, file, port),
    ):
        found = RunningDeployment(
            proxy,
            scheme,
            sends_proxy_header=options != "",
            portico_port=portico_port if place == "tcp" else 0,
            url=f"http://127.0.0.1:{port}",
        )
        with found.http:
            yield found


def test_the_application_sees_the_client_and_not_what_it_pretends(deployment: RunningDeployment) -> None:
    environ = deployment.environ("/path?a=b", headers={**SPOOFED, "Host": "shop.example"})
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["HTTP_HOST"] == "shop.example"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/path"
    assert environ["QUERY_STRING"] == "a=b"
    ids = {environ["HTTP_X_REQUEST_ID"], deployment.environ("/")["HTTP_X_REQUEST_ID"], "", "spoofed"}
    assert len(ids) == 4


def test_a_path_is_decoded_once(deployment: RunningDeployment) -> None:
    environ = deployment.environ("/a%20b/c%25d%2Fe/%C3%A9")
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/a b/c%d/e/é"


def test_authorization_reaches_the_application(deployment: RunningDeployment) -> None:
    environ = deployment.environ("/", headers={"Authorization": "Basic dXNlcjpwYXNz"})
    assert environ["HTTP_AUTHORIZATION"] == "Basic dXNlcjpwYXNz"


def test_a_body_of_the_greatest_length_passes_and_one_byte_more_does_not(
    deployment: RunningDeployment,
) -> None:
    response = deployment.http.post("/", content=b"x" * 100 * 1024)
    assert (response.status_code, response.json()["body"]) == (200, 100 * 1024)
    assert deployment.http.post("/", content=b"x" * (100 * 1024 + 1)).status_code == 413


def test_a_chunked_body_passes_where_the_protocol_can_have_it(deployment: RunningDeployment) -> None:
    response = deployment.http.post("/", content=iter([b"x" * 5000, b"y" * 5000]))
    if deployment.proxy == "apache" and deployment.scheme in ("uwsgi", "scgi"):
        assert response.status_code == 411  # as the comment in the file says
    else:
        assert (response.status_code, response.json()["body"]) == (200, 10_000)


def test_connections_to_portico_are_kept_where_the_protocol_can_have_it(
    deployment: RunningDeployment,
) -> None:
    if not deployment.portico_port:
        return  # those of a Unix socket leave no trace
    before = connections(deployment.portico_port)
    for _ in range(10):
        deployment.environ("/")
    new = len(connections(deployment.portico_port) - before)
    if not keeps(deployment.proxy, deployment.scheme):
        assert new >= 10
    else:
        # HAProxy asks for portico's health on connections of their own.
        assert new <= 3


def connections(port: int) -> set[str]:
    """The clients of `port` on this machine, those of the last minute among them."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        ends = line.split()[1:3]
        for end, other in (ends, ends[::-1]):
            if int(end.partition(":")[2], 16) == port:
                found.add(other)
    return found


def test_queue_timeout_counts_from_the_reverse_proxy_on(deployment: RunningDeployment) -> None:
    # PROXY says who the client is; it would have to be trusted itself.
    if deployment.sends_proxy_header:
        assert "HTTP_X_REQUEST_START" not in deployment.environ("/", headers=SPOOFED)
        return
    found = re.fullmatch(
        r"t=(\d{10})(\.\d+|\d{3}|\d{6})", deployment.environ("/", headers=SPOOFED)["HTTP_X_REQUEST_START"]
    )
    assert found
    assert abs(time.time() - int(found[1])) < 60
    # A client may be slow to send a body, which is no waiting; nginx alone has received it by then.
    environ = deployment.http.post("/", content=b"body", headers=SPOOFED).json()["environ"]
    assert ("HTTP_X_REQUEST_START" in environ) == (deployment.proxy == "nginx")
    assert environ.get("HTTP_X_REQUEST_START") != "t=1"


def test_the_health_path_leads_to_portico(deployment: RunningDeployment) -> None:
    response = deployment.http.get("/livez")
    assert (response.status_code, response.text) == (200, "ok\n")


def test_static_files_do_not_reach_portico(deployment: RunningDeployment) -> None:
    if deployment.proxy == "haproxy":
        return
    assert deployment.http.get("/static/a%20file.txt").text == "from the reverse proxy"
    assert deployment.http.get("/static/missing").status_code == 404
    assert deployment.http.get("/static/").status_code in (403, 404), "no listing"
    assert deployment.environ("/staticfile")["PATH_INFO"] == "/staticfile"


def test_large_headers_pass(deployment: RunningDeployment) -> None:
    # max_header is 16K, and together as much as each way can hold at the default settings.
    headers = {f"X-Large-{number}": str(number) * 14_000 for number in range(2)}
    environ = deployment.environ("/", headers=headers)
    assert [environ[f"HTTP_X_LARGE_{number}"] for number in range(2)] == list(headers.values())


def test_a_client_without_host_is_served(deployment: RunningDeployment) -> None:
    with Connection(("127.0.0.1", httpx.URL(deployment.url).port or 0)) as client:
        client.send(b"GET /old HTTP/1.0\r\n\r\n")
        assert client.read_response().status == 200
