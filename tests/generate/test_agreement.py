"""Times and sizes of the reverse proxies stand in the right relation to portico's, and follow them."""

from __future__ import annotations

import re

import pytest
from portico.config.units import parse_duration, parse_size

from .made import generated, in_bytes, option_of, seconds, statements, value_of

MODULES = {"http": "proxy", "uwsgi": "uwsgi", "fastcgi": "fastcgi", "scgi": "scgi"}
REVERSE_PROXIES = ("nginx", "apache", "haproxy")
WAYS = [(proxy, "http") for proxy in REVERSE_PROXIES] + [(proxy, "fastcgi") for proxy in REVERSE_PROXIES]
WAYS += [(proxy, scheme) for proxy in ("nginx", "apache") for scheme in ("uwsgi", "scgi")]
EVERY_WAY = pytest.mark.parametrize(("proxy", "scheme"), WAYS)


def made(proxy: str, scheme: str, *options: str) -> str:
    """The file of `proxy` for a listener of `scheme`."""
    return generated(proxy, "shop", "-b", f"{scheme}://127.0.0.1:8000", *options)


def proxy_pass(text: str) -> str:
    """The line of an Apache file that passes requests on."""
    return next(line for line in statements(text) if line.startswith('ProxyPass "/" '))


def server_line(text: str) -> str:
    """The line of a HAProxy file that names portico."""
    return next(line for line in statements(text) if line.startswith("server "))


def read_timeout_s(proxy: str, scheme: str, text: str) -> float:
    """How long the reverse proxy waits for a response."""
    if proxy == "nginx":
        return seconds(value_of(text, f"{MODULES[scheme]}_read_timeout"))
    if proxy == "apache":
        return float(option_of(proxy_pass(text), "timeout"))
    return seconds(value_of(text, "timeout server"))


def kept_s(proxy: str, text: str) -> float | None:
    """How long the reverse proxy keeps an idle connection to portico; none if it keeps none."""
    if proxy == "nginx":
        return seconds(value_of(text, "keepalive_timeout")) if "keepalive_timeout" in text else None
    if proxy == "apache":
        line = proxy_pass(text)
        assert ("ttl=" in line) != ("disablereuse=on" in line)
        return float(option_of(line, "ttl")) if "ttl=" in line else None
    assert ("http-reuse never" in text) != ("option http-server-close" in text)
    # Each belongs to one of a client, and ends with it.
    return seconds(value_of(text, "timeout http-keep-alive")) if "http-reuse never" in text else None


def keeps(proxy: str, scheme: str) -> bool:
    """Whether a connection to portico, over TCP, has more than one request."""
    return scheme == "http" or (scheme == "fastcgi" and proxy != "apache")


@EVERY_WAY
@pytest.mark.parametrize(
    ("timeout", "queue"), [("60s", "30s"), ("90s", "30s"), ("1s", "5m"), ("1500ms", "100ms")]
)
def test_a_reverse_proxy_waits_longer_than_portico_responds_late(
    proxy: str, scheme: str, timeout: str, queue: str
) -> None:
    text = made(proxy, scheme, "--timeout", timeout, "--queue-timeout", queue)
    latest_s = parse_duration(timeout) + parse_duration(queue)
    # A second of patience for the worker that is aborted, one for the check that finds it.
    assert latest_s + 2 < read_timeout_s(proxy, scheme, text) <= latest_s + 10


@EVERY_WAY
@pytest.mark.parametrize("option", ["--timeout", "--queue-timeout"])
def test_without_a_limit_a_reverse_proxy_waits_very_long(proxy: str, scheme: str, option: str) -> None:
    assert read_timeout_s(proxy, scheme, made(proxy, scheme, option, "0")) >= 86400


@EVERY_WAY
@pytest.mark.parametrize("keep_alive", ["2s", "5s", "15s", "90s", "1h"])
def test_a_reverse_proxy_lets_go_of_idle_connections_first(proxy: str, scheme: str, keep_alive: str) -> None:
    found_s = kept_s(proxy, made(proxy, scheme, "--keep-alive", keep_alive))
    assert (found_s is not None) == keeps(proxy, scheme)
    if found_s is not None:
        assert parse_duration(keep_alive) / 3 < found_s <= parse_duration(keep_alive) - 0.5


@pytest.mark.parametrize("scheme", ["http", "fastcgi"])
@pytest.mark.parametrize("proxy", REVERSE_PROXIES)
@pytest.mark.parametrize("keep_alive", ["0", "500ms", "1s"])
def test_a_reverse_proxy_keeps_nothing_that_portico_hardly_keeps(
    proxy: str, scheme: str, keep_alive: str
) -> None:
    assert kept_s(proxy, made(proxy, scheme, "--keep-alive", keep_alive)) is None


def test_nginx_tells_portico_whether_it_keeps_connections() -> None:
    assert value_of(made("nginx", "http"), "proxy_set_header Connection") == '""'
    assert value_of(made("nginx", "http", "--keep-alive", "0"), "proxy_set_header Connection") == "close"
    assert value_of(made("nginx", "fastcgi"), "fastcgi_keep_conn") == "on"
    assert "fastcgi_keep_conn" not in made("nginx", "fastcgi", "--keep-alive", "0")


@pytest.mark.parametrize("most", ["1", "500", "100000"])
def test_nginx_closes_before_the_last_request_that_portico_takes(most: str) -> None:
    text = made("nginx", "http", "--max-requests-per-connection", most)
    assert int(value_of(text, "keepalive_requests")) <= int(most)


@pytest.mark.parametrize("scheme", ["uwsgi", "scgi"])
def test_nginx_does_not_repeat_a_call_that_took_too_long(scheme: str) -> None:
    name = f"{MODULES[scheme]}_next_upstream_timeout"
    for timeout in ("1s", "90s"):
        assert (
            0 < seconds(value_of(made("nginx", scheme, "--timeout", timeout), name)) < parse_duration(timeout)
        )
    assert name not in made("nginx", scheme, "--timeout", "0"), "0 would be no limit there too"
    # Not `timeout`, its default, which would call the application twice.
    assert value_of(made("nginx", scheme), f"{MODULES[scheme]}_next_upstream") == "error"


@pytest.mark.parametrize("scheme", ["http", "fastcgi"])
@pytest.mark.parametrize(
    ("timeout", "repeated", "given_up"),
    [
        ("90s", ["0.000", "0.999", "9.999"], ["10.000", "45.000", "90.000", "123.456"]),
        ("20s", ["9.999"], ["10.000", "20.000"]),
        ("19s", ["0.000", "0.999"], ["1.000", "9.999", "10.000", "19.000"]),
        ("1s", ["0.000", "0.099"], ["0.100", "0.500", "1.000", "10.000"]),
        ("100ms", [], ["0.000", "0.100"]),
    ],
)
def test_nginx_repeats_on_a_new_connection_what_did_not_take_long(
    scheme: str, timeout: str, repeated: list[str], given_up: list[str]
) -> None:
    text = made("nginx", scheme, "--timeout", timeout)
    match = re.search(r'if \(\$request_time ~ "(.+)"\) { return 502; }', text)
    assert match is not None
    for time in repeated:
        assert not re.search(match[1], time), time
    for time in given_up:
        assert re.search(match[1], time), time
    assert value_of(text, f"{MODULES[scheme]}_next_upstream") == "off"
    assert "$request_time" not in made("nginx", scheme, "--timeout", "0")


@EVERY_WAY
@pytest.mark.parametrize("size", ["0", "1", "10M", "3G", "2T"])
def test_a_reverse_proxy_takes_the_bodies_that_portico_takes(proxy: str, scheme: str, size: str) -> None:
    text = made(proxy, scheme, "--max-request-body", size)
    if proxy == "nginx":
        assert in_bytes(value_of(text, "client_max_body_size")) == parse_size(size)
    elif proxy == "apache":
        assert int(value_of(text, "LimitRequestBody")) == parse_size(size)
    elif size == "0":
        assert "req.body_size" not in text
    else:
        assert f"deny_status 413 if {{ req.body_size gt {parse_size(size)} }}" in text


@EVERY_WAY
def test_a_reverse_proxy_is_as_patient_with_clients_as_portico(proxy: str, scheme: str) -> None:
    text = made(proxy, scheme, "--head-timeout", "7s", "--body-timeout", "8s", "--write-timeout", "9s")
    if proxy == "nginx":
        found = [
            value_of(text, name) for name in ("client_header_timeout", "client_body_timeout", "send_timeout")
        ]
        assert found == ["7s", "8s", "9s"]
    elif proxy == "apache":
        assert value_of(text, "RequestReadTimeout") == "header=7 body=8,MinRate=500"
        assert value_of(text, "Timeout") == "9"
    else:
        assert value_of(text, "timeout http-request") == "7s"
        assert value_of(text, "timeout client") == "9s", "the longer of both: it is for either direction"


@pytest.mark.parametrize("options", [(), ("--max-header", "4K", "--max-head", "20K"), ("--max-head", "1M")])
def test_nginx_takes_heads_within_max_head_and_lines_within_max_header(options: tuple[str, ...]) -> None:
    number, size = value_of(made("nginx", "http", *options), "large_client_header_buffers").split()
    limits = {"--max-head": 64 << 10, "--max-header": 16 << 10, "--max-request-line": 8190}
    limits |= {name: parse_size(value) for name, value in zip(options[::2], options[1::2], strict=True)}
    assert in_bytes(size) == max(limits["--max-header"], limits["--max-request-line"])
    assert limits["--max-head"] / 2 < int(number) * in_bytes(size) <= limits["--max-head"]


@pytest.mark.parametrize("variables", [20 << 10, 64 << 10, 1 << 20])
def test_nginx_takes_heads_that_fit_in_the_variables(variables: int) -> None:
    for scheme in ("fastcgi", "scgi"):
        text = made("nginx", scheme, "--max-variables-size", str(variables))
        number, size = value_of(text, "large_client_header_buffers").split()
        assert variables / 2 < int(number) * in_bytes(size) <= variables
    text = made("nginx", "uwsgi", "--max-variables-size", str(variables))
    number, size = value_of(text, "large_client_header_buffers").split()
    # A target of full length is there three times: once within the head.
    assert int(number) * in_bytes(size) + 2 * 8190 + 2048 <= max(min(variables, 65535), 20 << 10)


def test_apache_takes_lines_as_long_as_portico_does() -> None:
    text = made("apache", "http", "--max-request-line", "5000", "--max-header", "6000", "--max-headers", "50")
    assert value_of(text, "LimitRequestLine") == "5000"
    assert value_of(text, "LimitRequestFieldSize") == "6000"
    assert int(value_of(text, "LimitRequestFields")) == 50 - 8
    text = made("apache", "uwsgi", "--max-headers", "50", "--max-variables", "300")
    assert int(value_of(text, "LimitRequestFields")) == 300 - 40


def test_haproxy_has_buffers_for_the_largest_head() -> None:
    for scheme, option in (("http", "--max-head"), ("fastcgi", "--max-variables-size")):
        for size in (64 << 10, 200 << 10):
            text = made("haproxy", scheme, option, str(size))
            assert int(value_of(text, "tune.bufsize")) == size
            assert int(value_of(text, "tune.maxrewrite")) < size / 2, "more would be reduced"
    assert value_of(made("haproxy", "http", "--max-headers", "70"), "tune.http.maxhdr") == "70"
    assert value_of(made("haproxy", "fastcgi", "--max-variables", "90"), "tune.http.maxhdr") == "90"


@EVERY_WAY
def test_the_head_names_the_setting_of_each_time(proxy: str, scheme: str) -> None:
    text = made(proxy, scheme, "--timeout", "77s", "--queue-timeout", "11s", "--keep-alive", "13s")
    head = text[: text.index("\n\n")]
    for part in (
        "timeout 77s",
        "queue_timeout 11s",
        "head_timeout 20s",
        "body_timeout 20s",
        "write_timeout 1m",
    ):
        assert part in head
    assert ("less than keep_alive 13s" in head) == keeps(proxy, scheme)
