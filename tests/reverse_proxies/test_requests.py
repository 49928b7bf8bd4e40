"""Every pairing, with Flask and Django: the application sees the client's request, the client its
response."""

from __future__ import annotations

import io
import json
import re
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from apps.behind_proxy import COOKIES, LARGE_HEADERS, STREAM_BLOCKS, digest
from support.raw_client import Response, chunked

from reverse_proxies.deployment import NAME, RunningDeployment, ask
from reverse_proxies.pairings import Pairing

CLIENT = "127.0.0.2"
"""An address of this machine that portico takes for no reverse proxy."""
STREAM = b"".join(b"%d " % number * (number + 1) for number in range(STREAM_BLOCKS))


def seen(response: Response) -> dict[str, Any]:
    """What the application saw of a request."""
    assert response.status == 200, response
    request: dict[str, Any] = json.loads(response.body)
    return request


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
def test_method_path_and_query(deployment: RunningDeployment, method: str) -> None:
    request = seen(
        deployment.request("/seen/caf%C3%A9/a%20b+c/~x;y=1/?q=1&q=%C3%BC&empty=&raw=a/b?c", method=method)
    )
    assert request["method"] == method
    assert (request["mount"], request["path"]) == ("", "/seen/caf\xe9/a b+c/~x;y=1/")
    assert request["query"] == "q=1&q=%C3%BC&empty=&raw=a/b?c"
    assert request["arguments"] == {"q": ["1", "\xfc"], "empty": [""], "raw": ["a/b?c"]}


@pytest.mark.parametrize(
    ("escaped", "decoded"),
    [
        pytest.param("%25%32%30", "%20", id="percent"),
        pytest.param("%3Fno%3Dquery%23", "?no=query#", id="delimiters"),
        pytest.param("a%2Fb%2f", "a/b/", id="slashes"),
        pytest.param("a%22b%27%3C%3E", "a\"b'<>", id="quotes"),
    ],
)
def test_escapes_are_decoded_once(deployment: RunningDeployment, escaped: str, decoded: str) -> None:
    request = seen(deployment.request(f"/seen/{escaped}?q={escaped}"))
    assert (request["path"], request["query"]) == (f"/seen/{decoded}", f"q={escaped}")


def test_headers(deployment: RunningDeployment) -> None:
    headers = ["X-One: 1", "Accept: text/html;q=0.9, */*", 'If-None-Match: "a", W/"b"', "X-Empty:"]
    request = seen(deployment.request("/seen/headers", headers=headers))["headers"]
    assert request["x-one"] == "1"
    assert request["accept"] == "text/html;q=0.9, */*"
    assert request["if-none-match"] == '"a", W/"b"'


def test_headers_with_deceptive_names(deployment: RunningDeployment) -> None:
    """Names that would be read as something else never reach the application."""
    request = seen(
        deployment.request("/seen/hop", headers=["Proxy: http://evil.example", "X_Forwarded_For: 192.0.2.1"])
    )
    assert "proxy" not in request["headers"]
    assert not any("192.0.2.1" in value for value in request["headers"].values())


def test_form(deployment: RunningDeployment) -> None:
    form = {"one": "1", "two": "zwei \xfc & more", "large": "x" * 200_000}
    body = urlencode(form).encode()
    request = seen(
        deployment.request(
            "/seen/form",
            method="POST",
            headers=["Content-Type: application/x-www-form-urlencoded"],
            body=body,
        )
    )
    assert request["form"] == {name: [value] for name, value in form.items()}
    assert request["headers"]["content-type"] == "application/x-www-form-urlencoded"


def test_a_post_without_a_body(deployment: RunningDeployment) -> None:
    request = seen(deployment.request("/seen/empty", method="POST", body=b""))
    assert (request["method"], request["form"]) == ("POST", {})


def test_a_chunked_body(deployment: RunningDeployment, pairing: Pairing) -> None:
    """Also Django sees it, which reads nothing without a length: the reverse proxy or portico gives it
    one."""
    block = bytes(range(256)) * 100
    with deployment.connect() as connection:
        head = [
            f"POST /digest HTTP/1.1\r\nHost: {NAME}",
            "Content-Type: text/plain",
            "Transfer-Encoding: chunked",
        ]
        connection.send("\r\n".join([*head, "", ""]).encode())
        connection.send(chunked(block, block, b"end"))
        response = connection.read_response()
    if not pairing.takes_chunked:
        assert response.status == 411
        return
    assert response.status == 200
    assert json.loads(response.body) == digest(io.BytesIO(block + block + b"end"))


def test_head(deployment: RunningDeployment) -> None:
    """The head of a GET, no body, and the connection goes on."""
    with deployment.connect() as connection:
        get = ask(connection, "/number/12")
        head = ask(connection, "/number/12", method="HEAD")
        again = ask(connection, "/number/34")
    assert (get.body, head.body, again.body) == (b"number 12", b"", b"number 34")
    assert head.status == 200
    assert head.get("Content-Type") == get.get("Content-Type")
    assert head.get("Content-Length") in (None, get.get("Content-Length"))


def test_a_streamed_response(deployment: RunningDeployment) -> None:
    response = deployment.request("/stream")
    assert response.status == 200
    assert response.body == STREAM


def test_blocks_are_not_held_back(deployment: RunningDeployment, key: str) -> None:
    """The first block reaches the client while the application waits."""
    with deployment.connect() as connection:
        connection.send(f"GET /gated-stream?key={key} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        head = connection.read_head()
        if head.get("Transfer-Encoding"):
            assert connection.read_chunk() == b"first "
            deployment.journal.open_gate(key)
            assert b"".join(connection.read_chunks()) == b"second"
        else:
            assert connection.read_exactly(6) == b"first "
            deployment.journal.open_gate(key)
            assert connection.read_to_end() == b"second"


def test_redirect(deployment: RunningDeployment) -> None:
    response = deployment.request("/redirect")
    assert response.status == 302
    assert response.get("Location") in ("/seen/elsewhere?a=1", f"http://{NAME}/seen/elsewhere?a=1")


def test_a_redirect_to_a_whole_url_stays_at_the_deployment(deployment: RunningDeployment) -> None:
    response = deployment.request("/redirect-absolute")
    assert response.status == 302
    assert response.get("Location") == f"http://{NAME}/seen/elsewhere"


def test_cookies(deployment: RunningDeployment) -> None:
    response = deployment.request("/cookies", headers=["Cookie: a=1; b=two-words; c=%C3%BC"])
    assert json.loads(response.body) == {"a": "1", "b": "two-words", "c": "%C3%BC"}
    given = [cookie.partition(";")[0] for cookie in response.all("Set-Cookie")]
    assert given == [f"{name}={value}" for name, value in COOKIES.items()]
    assert all("expires=" in cookie.lower() for cookie in response.all("Set-Cookie"))


def test_large_headers_of_a_request(deployment: RunningDeployment) -> None:
    """60 KB of headers, near portico's limit for a head of 64 KiB."""
    large = {f"x-large-{number}": str(number) * 15_000 for number in range(4)}
    headers = [f"{name}: {value}" for name, value in large.items()]
    request = seen(deployment.request("/seen/large", headers=headers))["headers"]
    assert {name: request[name] for name in large} == large


@pytest.mark.parametrize("count", [5, 9])
def test_larger_headers_of_a_request_are_rejected(
    deployment: RunningDeployment, pairing: Pairing, count: int
) -> None:
    """75 KB, beyond portico's limit, and 135 KB, beyond most others: the client hears why."""
    headers = [f"X-Large-{number}: {'x' * 15_000}" for number in range(count)]
    status = deployment.request("/seen/large", headers=headers).status
    assert pairing.rejects_large <= status < pairing.rejects_large + 100
    assert deployment.request("/number/1").body == b"number 1"


def test_large_headers_of_a_response(deployment: RunningDeployment) -> None:
    response = deployment.request("/large-headers")
    assert response.status == 200
    assert {name: response.get(name) for name in LARGE_HEADERS} == LARGE_HEADERS


def test_a_kept_connection(deployment: RunningDeployment) -> None:
    with deployment.connect() as connection:
        for number in range(20):
            assert ask(connection, f"/number/{number}").body == b"number %d" % number
            posted = ask(connection, f"/number/{number}", method="POST", body=b"x" * number)
            assert posted.body == b"number %d" % number


def test_the_client_is_seen(deployment: RunningDeployment) -> None:
    request = seen(deployment.request("/seen/client", source=CLIENT))
    assert request["remote_addr"] == CLIENT
    assert (request["scheme"], request["host"], request["url"]) == (
        "http",
        NAME,
        f"http://{NAME}/seen/client",
    )


def test_the_client_is_in_the_access_log(deployment: RunningDeployment, key: str) -> None:
    deployment.request(f"/seen/{key}", source=CLIENT, headers=["User-Agent: tester/1"])
    line = deployment.portico.access_log.wait_for(rf"^.*{key}.*$")[0]
    assert line.startswith(f"{CLIENT} ")
    assert re.search(rf'"GET /seen/{key} HTTP/1\.[01]" 200 .*tester/1', line)


def test_https_is_seen(deployment: RunningDeployment, pairing: Pairing) -> None:
    request = seen(deployment.request("/seen/tls", tls=True, source=CLIENT))
    scheme = "https" if pairing.tells_scheme else "http"
    assert (request["scheme"], request["host"], request["remote_addr"]) == (scheme, NAME, CLIENT)
    assert request["url"] == f"{scheme}://{NAME}/seen/tls"


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For: 192.0.2.66",
        "X-Forwarded-For: 192.0.2.66, 127.0.0.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: 192.0.2.66",
        "X-Forwarded-Port: 19266",
        "X-Forwarded-Prefix: /192.0.2.66",
        "Forwarded: for=192.0.2.66;proto=https;host=192.0.2.66",
    ],
    ids=lambda header: header.partition(":")[0].lower(),
)
def test_a_forged_header_is_not_believed(deployment: RunningDeployment, header: str) -> None:
    """It changes nothing, and does not reach applications either, which may believe it themselves."""
    honest = seen(deployment.request("/seen/forged", source=CLIENT))
    request = seen(deployment.request("/seen/forged", source=CLIENT, headers=[header]))
    for volatile in ("x-request-start",):
        honest["headers"].pop(volatile, None)
        request["headers"].pop(volatile, None)
    assert request == honest
    assert request["remote_addr"] == CLIENT
    assert "192.0.2.66" not in json.dumps(request)


def test_a_client_cannot_date_its_request_back(deployment: RunningDeployment, pairing: Pairing) -> None:
    """A request that has waited for years would be rejected. Over HTTP the application sees the true time."""
    before_s = time.time()
    request = seen(
        deployment.request("/seen/start", source=CLIENT, headers=["X-Request-Start: t=1000000000"])
    )
    start = request["headers"].get("x-request-start")
    if not (pairing.tells_start and pairing.speaks == "http"):
        assert start is None
        return
    match = re.fullmatch(r"t=([0-9]+)(\.[0-9]+)?", start)
    assert match
    unit_s = {10: 1, 13: 1e-3, 16: 1e-6}[len(match[1])]
    assert before_s - 1 < float(match[1]) * unit_s < time.time() + 1
