"""ProxyFix: what reverse proxies say is believed by their number."""

from __future__ import annotations

from typing import Any

import pytest
from portico.middleware import ProxyFix

from .calling import environ_of

BEFORE = {
    "REMOTE_ADDR": "10.0.0.1",
    "wsgi.url_scheme": "http",
    "HTTP_HOST": "inside:8000",
    "SERVER_NAME": "inside",
    "SERVER_PORT": "8000",
    "SCRIPT_NAME": "",
}


def changed(forwarded: dict[str, str], **proxies: int) -> dict[str, Any]:
    """What ProxyFix changes of `BEFORE`, for headers such as `for`."""
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        return []

    headers = {f"HTTP_X_FORWARDED_{name.upper()}": value for name, value in forwarded.items()}
    counts = {f"x_{name}": count for name, count in proxies.items()}
    assert ProxyFix(application, **counts)(environ_of(**BEFORE, **headers), lambda *_: None) == []
    assert seen["werkzeug.proxy_fix.orig"] == BEFORE
    return {key: seen[key] for key in BEFORE if seen[key] != BEFORE[key]}


@pytest.mark.parametrize(
    ("forwarded", "proxies", "expected"),
    [
        pytest.param({"for": "192.0.2.7"}, {}, {"REMOTE_ADDR": "192.0.2.7"}, id="for"),
        pytest.param({"for": "1.1.1.1, 192.0.2.7"}, {}, {"REMOTE_ADDR": "192.0.2.7"}, id="rightmost"),
        pytest.param(
            {"for": "1.1.1.1,192.0.2.7 ,10.0.0.2"}, {"for": 2}, {"REMOTE_ADDR": "192.0.2.7"}, id="second"
        ),
        pytest.param({"for": "192.0.2.7"}, {"for": 2}, {}, id="fewer-than-proxies"),
        pytest.param({"for": ", 192.0.2.7"}, {"for": 2}, {}, id="empty-is-none"),
        pytest.param({"for": "192.0.2.7"}, {"for": 0}, {}, id="not-believed"),
        pytest.param({"for": '"[2001:db8::7]:80"'}, {}, {"REMOTE_ADDR": "[2001:db8::7]:80"}, id="quoted"),
        pytest.param({"for": '"192.0.2.7'}, {}, {}, id="unclosed-quote"),
        pytest.param({"for": ""}, {}, {}, id="empty"),
        pytest.param({"proto": "https"}, {}, {"wsgi.url_scheme": "https"}, id="proto"),
        pytest.param({"host": "shop.example"}, {}, {}, id="host-is-not-believed-unasked"),
        pytest.param(
            {"host": "shop.example"},
            {"host": 1},
            {"HTTP_HOST": "shop.example", "SERVER_NAME": "shop.example"},
            id="host",
        ),
        pytest.param(
            {"host": "shop.example:444"},
            {"host": 1},
            {"HTTP_HOST": "shop.example:444", "SERVER_NAME": "shop.example", "SERVER_PORT": "444"},
            id="host-and-port",
        ),
        pytest.param(
            {"host": "[2001:db8::7]"},
            {"host": 1},
            {"HTTP_HOST": "[2001:db8::7]", "SERVER_NAME": "[2001:db8::7]"},
            id="ipv6-host",
        ),
        pytest.param(
            {"port": "443"}, {"port": 1}, {"HTTP_HOST": "inside:443", "SERVER_PORT": "443"}, id="port"
        ),
        pytest.param(
            {"port": "443", "host": "[2001:db8::7]"},
            {"port": 1, "host": 1},
            {"HTTP_HOST": "[2001:db8::7]:443", "SERVER_NAME": "[2001:db8::7]", "SERVER_PORT": "443"},
            id="ipv6-host-with-port-beside",
        ),
        pytest.param({"prefix": "/a, /shop"}, {"prefix": 1}, {"SCRIPT_NAME": "/shop"}, id="prefix"),
    ],
)
def test_environ_is_that_of_the_client(
    forwarded: dict[str, str], proxies: dict[str, int], expected: dict[str, str]
) -> None:
    assert changed(forwarded, **proxies) == expected


def test_a_port_without_a_host_header_is_only_the_port() -> None:
    environ = environ_of(HTTP_X_FORWARDED_PORT="443", SERVER_PORT="8000")
    del environ["HTTP_HOST"]
    ProxyFix(lambda environ, start_response: [], x_port=1)(environ, lambda *_: None)
    assert environ["SERVER_PORT"] == "443"
    assert "HTTP_HOST" not in environ


@pytest.mark.parametrize("count", [-1, "1", None, 1.0])
def test_a_count_that_is_none_is_an_error(count: Any) -> None:
    with pytest.raises(ValueError, match=r"x_for: expected a number of reverse proxies, 0 or more, got "):
        ProxyFix(lambda environ, start_response: [], x_for=count)
