"""A generated file at work: the real reverse proxy with it, portico behind, a request through both."""

from __future__ import annotations

import json
import os
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
from .programs import running
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


class Site:
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
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    proxy, scheme, options, place = request.param
    folder = tmp_path_factory.mktemp("site")
    for path in (folder, *folder.parents[:2]):
        # pytest makes them for the user alone; the reverse proxy may be another one.
        path.chmod(0o755)
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
    if os.geteuid() == 0:
        # nginx keeps bodies here as the user of its workers.
        folder.chmod(0o777)
    with (
        Server("apps.mirror:application", threads=4, options=["-b", bind, *limits]),
        running(proxy, file, port),
    ):
        found = Site(
            proxy,
            scheme,
            sends_proxy_header=options != "",
            portico_port=portico_port if place == "tcp" else 0,
            url=f"http://127.0.0.1:{port}",
        )
        with found.http:
            yield found


def test_the_application_sees_the_client_and_not_what_it_pretends(site: Site) -> None:
    environ = site.environ("/path?a=b", headers={**SPOOFED, "Host": "shop.example"})
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["HTTP_HOST"] == "shop.example"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/path"
    assert environ["QUERY_STRING"] == "a=b"
    ids = {environ["HTTP_X_REQUEST_ID"], site.environ("/")["HTTP_X_REQUEST_ID"], "", "spoofed"}
    assert len(ids) == 4


def test_a_path_is_decoded_once(site: Site) -> None:
    environ = site.environ("/a%20b/c%25d%2Fe/%C3%A9")
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/a b/c%d/e/é"


def test_authorization_reaches_the_application(site: Site) -> None:
    environ = site.environ("/", headers={"Authorization": "Basic dXNlcjpwYXNz"})
    assert environ["HTTP_AUTHORIZATION"] == "Basic dXNlcjpwYXNz"


def test_a_body_of_the_greatest_length_passes_and_one_byte_more_does_not(site: Site) -> None:
    response = site.http.post("/", content=b"x" * 100 * 1024)
    assert (response.status_code, response.json()["body"]) == (200, 100 * 1024)
    assert site.http.post("/", content=b"x" * (100 * 1024 + 1)).status_code == 413


def test_a_chunked_body_passes_where_the_protocol_can_have_it(site: Site) -> None:
    response = site.http.post("/", content=iter([b"x" * 5000, b"y" * 5000]))
    if site.proxy == "apache" and site.scheme in ("uwsgi", "scgi"):
        assert response.status_code == 411  # as the comment in the file says
    else:
        assert (response.status_code, response.json()["body"]) == (200, 10_000)


def test_connections_to_portico_are_kept_where_the_protocol_can_have_it(site: Site) -> None:
    if not site.portico_port:
        return  # those of a Unix socket leave no trace
    before = connections(site.portico_port)
    for _ in range(10):
        site.environ("/")
    new = len(connections(site.portico_port) - before)
    if not keeps(site.proxy, site.scheme):
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


def test_queue_timeout_counts_from_the_reverse_proxy_on(site: Site) -> None:
    # PROXY says who the client is; it would have to be trusted itself.
    if site.sends_proxy_header:
        assert "HTTP_X_REQUEST_START" not in site.environ("/", headers=SPOOFED)
        return
    found = re.fullmatch(
        r"t=(\d{10})(\.\d+|\d{3}|\d{6})", site.environ("/", headers=SPOOFED)["HTTP_X_REQUEST_START"]
    )
    assert found
    assert abs(time.time() - int(found[1])) < 60
    # A client may be slow to send a body, which is no waiting; nginx alone has received it by then.
    environ = site.http.post("/", content=b"body", headers=SPOOFED).json()["environ"]
    assert ("HTTP_X_REQUEST_START" in environ) == (site.proxy == "nginx")
    assert environ.get("HTTP_X_REQUEST_START") != "t=1"


def test_the_health_path_leads_to_portico(site: Site) -> None:
    response = site.http.get("/livez")
    assert (response.status_code, response.text) == (200, "ok\n")


def test_static_files_do_not_reach_portico(site: Site) -> None:
    if site.proxy == "haproxy":
        return
    assert site.http.get("/static/a%20file.txt").text == "from the reverse proxy"
    assert site.http.get("/static/missing").status_code == 404
    assert site.http.get("/static/").status_code in (403, 404), "no listing"
    assert site.environ("/staticfile")["PATH_INFO"] == "/staticfile"


def test_large_headers_pass(site: Site) -> None:
    # max_header is 16K, and together as much as each way can hold at the default settings.
    headers = {f"X-Large-{number}": str(number) * 14_000 for number in range(2)}
    environ = site.environ("/", headers=headers)
    assert [environ[f"HTTP_X_LARGE_{number}"] for number in range(2)] == list(headers.values())


def test_a_client_without_host_is_served(site: Site) -> None:
    with Connection(("127.0.0.1", httpx.URL(site.url).port or 0)) as client:
        client.send(b"GET /old HTTP/1.0\r\n\r\n")
        assert client.read_response().status == 200
