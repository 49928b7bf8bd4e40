"""Each format: what its lines say, how it is found, and what becomes of lines that are none."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from portico.errors import OperatorError
from portico.report.formats import FORMATS, find, named
from portico.report.record import Record, UnreadableError

from .made import START_S, json_line

CORPUS = Path(__file__).parents[1] / "corpus/access_logs"
RESOLUTION = "resolution_ns"


def said(record: Record) -> dict[str, Any]:
    """All that a record has."""
    values = {name: getattr(record, name) for name in Record.__slots__ if name != RESOLUTION}
    return {name: value for name, value in values.items() if value is not None}


def basket(**more: Any) -> dict[str, Any]:
    return {
        "ended_s": START_S,
        "method": "GET",
        "path": "/basket?id=7",
        "status": 200,
        "body_bytes": 5120,
        **more,
    }


EXPECTED: dict[str, tuple[str, list[dict[str, Any] | None]]] = {
    "combined.log": (
        "combined",
        [
            basket(total_ns=12_345_000),
            {
                "ended_s": START_S + 1,
                "method": "GET",
                "path": "/killed",
                "status": 0,
                "body_bytes": 0,
                "total_ns": 1_500_000_000,
                "cause": "killed:SIGKILL",
            },
            {"ended_s": START_S + 2, "status": 400, "body_bytes": 12, "total_ns": 100_000},
        ],
    ),
    "gunicorn.log": (
        "combined",
        [
            {"ended_s": START_S, "method": "GET", "path": "/slow/3", "status": 200, "body_bytes": 5},
            {"ended_s": START_S + 1, "method": "GET", "path": "/a?b=<script>", "status": 500},
        ],
    ),
    "nginx.log": (
        "combined",
        [
            {"ended_s": START_S, "method": "GET", "path": "/basket", "status": 200, "body_bytes": 612},
            {"ended_s": START_S + 1, "status": 400, "body_bytes": 157},
        ],
    ),
    "common.log": ("common", [basket()]),
    "short.log": (
        "short",
        [
            {
                "method": "GET",
                "path": "/basket?id=7",
                "status": 200,
                "body_bytes": 5120,
                "total_ns": 12_345_000,
            }
        ],
    ),
    "json.log": (
        "json",
        [
            {
                "ended_s": START_S + 0.123,
                "method": "GET",
                "path": "/order/7",
                "route": "/order/<int:n>",
                "status": 200,
                "body_bytes": 5120,
                "total_ns": 12_345_678,
                "queue_ns": 1000,
                "lock_ns": 2000,
                "app_ns": 12_000_000,
                "cpu_ns": 3_000_000,
                "client_ns": 4_000_000,
            },
            {
                "ended_s": START_S + 1,
                "method": "GET",
                "path": "/killed",
                "status": 0,
                "body_bytes": 0,
                "total_ns": 1_500_000_000,
                "cause": "killed:oom",
            },
        ],
    ),
    "logfmt.log": (
        "logfmt",
        [
            {
                "ended_s": START_S + 0.123,
                "method": "GET",
                "path": r"/a b=\x22c\x22",
                "route": "/order/<int:n>",
                "status": 200,
                "body_bytes": 5120,
                "total_ns": 12_345_000,
                "queue_ns": 1000,
                "lock_ns": 2000,
                "app_ns": 12_000_000,
                "client_ns": 4_000_000,
            },
            {
                "ended_s": START_S + 1,
                "method": "GET",
                "path": "/killed",
                "status": 0,
                "body_bytes": 0,
                "total_ns": 1_500_000_000,
                "cause": "timeout",
            },
        ],
    ),
    "uwsgi.log": (
        "uwsgi",
        [
            None,
            None,
            {
                "ended_s": START_S,
                "method": "GET",
                "path": "/",
                "status": 200,
                "body_bytes": 5,
                "total_ns": 0,
            },
            {
                "ended_s": START_S - 28 * 86_400,
                "method": "POST",
                "path": "/slow/3?to=(a)",
                "status": 500,
                "body_bytes": 1234,
                "total_ns": 20_000_000,
            },
            {
                "ended_s": START_S + 2,
                "method": "GET",
                "path": "/file",
                "status": 200,
                "body_bytes": 99,
                "total_ns": 350_000,
            },
        ],
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_format_is_found_and_lines_say_what_they_say(name: str) -> None:
    lines = (CORPUS / name).read_text().splitlines()
    wanted, expected = EXPECTED[name]
    found = find(lines)
    assert found is not None
    assert found.name == wanted
    for line, values in zip(lines, expected, strict=True):
        if values is None:
            with pytest.raises(UnreadableError):
                found.read(line)
        else:
            assert said(found.read(line)) == values


def test_every_file_of_the_corpus_is_expected() -> None:
    assert {path.name for path in CORPUS.glob("*.log")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_truncated_line_is_read_or_unreadable_and_nothing_else(name: str) -> None:
    for line in (CORPUS / name).read_text().splitlines():
        for end in range(len(line)):
            for each in FORMATS.values():
                with suppress(UnreadableError):
                    each.read(line[:end])


@pytest.mark.parametrize(
    ("template", "line", "expected"),
    [
        pytest.param(
            '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(D)s',
            '192.0.2.7 - - [29/Nov/2026:01:46:07 +0000] "GET /basket?id=7 HTTP/1.1" 200 5120 '
            r'"-" "a \"b" 12345',
            basket(total_ns=12_345_000),
            id="gunicorn's with microseconds",
        ),
        pytest.param(
            "%(t)s %(m)s %(U)s%(q)s %(s)s %(B)s %(L)s %({x-id}i)s",
            "[29/Nov/2026:01:46:07 +0000] GET /basket?id=7 200 5120 0.012345 a b c",
            basket(total_ns=12_345_000),
            id="gunicorn's with other words",
        ),
        pytest.param(
            "%(r)s %(s)s %(M)s",
            "GET /basket HTTP/1.1 200 12",
            {"method": "GET", "path": "/basket", "status": 200, "total_ns": 12_000_000},
            id="gunicorn's without quotes",
        ),
        pytest.param(
            "%(addr) [%(ctime)] %(method) %(uri) %(status) %(rsize) %(micros) %(uagent)",
            "192.0.2.7 [Sun Nov 29 01:46:07 2026] GET /basket?id=7 200 5120 12345 Mozilla/5.0 (X11)",
            basket(total_ns=12_345_000),
            id="uWSGI's",
        ),
        pytest.param(
            "100%% %(ended) %(method) %(path) %(route) %(status) %(total_ms) %(queue_us) %(app_ns)",
            "100% 2026-11-29T01:46:07.000Z GET /order/7 /order/<n> 200 12.345 1.000 12000000",
            {
                "ended_s": START_S,
                "method": "GET",
                "path": "/order/7",
                "route": "/order/<n>",
                "status": 200,
                "total_ns": 12_345_000,
                "queue_ns": 1_000,
                "app_ns": 12_000_000,
            },
            id="portico's",
        ),
        pytest.param(
            "%(r)s|%({set-cookie}o)s|%(f)s|%(a)s|%(U)s|%(q)s|%(s)s|%(ltime)|%(ftime)",
            "GET /basket HTTP/1.1|a=1; b|-|Mozilla/5.0 (X11)|/basket||200"
            + "|29/Nov/2026:01:46:07 +0000" * 2,
            {"method": "GET", "path": "/basket", "status": 200, "ended_s": START_S},
            id="with bars",
        ),
        pytest.param(
            "%(path) %(status)",
            "/killed 000 killed:SIGKILL",
            {"path": "/killed", "status": 0, "cause": "killed:SIGKILL"},
            id="a cause behind it",
        ),
    ],
)
def test_template_is_read(template: str, line: str, expected: dict[str, Any]) -> None:
    assert said(named(template).read(line)) == expected


@pytest.mark.parametrize("separator", ["|", ";", ":", "/", "-", "::"])
def test_many_values_are_read_in_little_time(separator: str) -> None:
    names = ["uri", "status", *(f"var.{number}" for number in range(40)), "micros"]
    read = named(separator.join(f"%({name})" for name in names)).read
    line = separator.join(["path", "200", *["x"] * 40, ""])
    started_s = time.process_time()
    assert said(read(f"{line}5")) == {"path": "path", "status": 200, "total_ns": 5_000}
    with pytest.raises(UnreadableError):
        read(f"{line}no number")
    assert time.process_time() - started_s < 1


@pytest.mark.parametrize(
    ("template", "resolution_ns"),
    [("%(s)s %(T)s", 1_000_000_000), ("%(s)s %(M)s", 1_000_000), ("%(s)s %(D)s", 1_000)],
)
def test_resolution_is_that_of_the_last_digit(template: str, resolution_ns: int) -> None:
    assert named(template).read("200 3").resolution_ns == resolution_ns


@pytest.mark.parametrize("text", ["jsno", "%(h)s %(r)s", "%%"])
def test_format_that_is_none_is_a_mistake(text: str) -> None:
    with pytest.raises(OperatorError, match=r"^--format: expected .*, got"):
        named(text)


# --- Hostile lines


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="truncated"),
        pytest.param("[200]", id="array"),
        pytest.param("{}", id="empty object"),
        pytest.param('{"a":' * 50_000, id="nested"),
        pytest.param('{"http.response.status_code":"200"}', id="text as status"),
        pytest.param('{"http.response.status_code":true}', id="true as status"),
        pytest.param('{"http.response.status_code":1000}', id="large status"),
        pytest.param('{"http.response.status_code":NaN}', id="NaN as status"),
        pytest.param('{"http.response.status_code":200,"x":Infinity}', id="Infinity"),
        pytest.param('{"http.response.status_code":200,"event.duration":NaN}', id="NaN"),
        pytest.param('{"http.response.status_code":200,"event.duration":-1}', id="negative"),
        pytest.param('{"http.response.status_code":200,"event.duration":1.5}', id="fraction"),
        pytest.param('{"http.response.status_code":200,"event.duration":null}', id="null"),
        pytest.param('{"http.response.status_code":200,"event.duration":' + "9" * 400 + "}", id="large"),
        pytest.param('{"http.response.status_code":200,"event.duration":' + "9" * 9000 + "}", id="too large"),
        pytest.param('{"http.response.status_code":200,"url.path":["/"]}', id="array as path"),
        pytest.param('{"http.response.status_code":200,"http.route":{"a":1}}', id="object as route"),
        pytest.param('{"http.response.status_code":200,"@timestamp":7}', id="number as date"),
        pytest.param('{"http.response.status_code":200,"@timestamp":"yesterday"}', id="no date"),
        pytest.param('{"http.response.status_code":200,"@timestamp":"2026-13-29T01:46:07.123Z"}', id="month"),
        pytest.param('192.0.2.7 - - [99/Nov/2026:01:46:07 +0000] "GET / HTTP/1.1" 200 5 "-" "-"', id="99th"),
        pytest.param('192.0.2.7 - - [29/Nov/2026:01:46:07 +9999] "GET / HTTP/1.1" 200 5 "-" "-"', id="zone"),
        pytest.param("time=2026-11-29T01:46:07.123Z status=2000", id="logfmt: status"),
        pytest.param("time=2026-11-29T01:46:07.123Z status=200 total_ms=nan", id="logfmt: NaN"),
        pytest.param('time=2026-11-29T01:46:07.123Z status=200 path="', id="logfmt: quote"),
        pytest.param("time=٢٠٢٦ status=200", id="logfmt: digits"),
        pytest.param("01:46:07 GET / 200 5120 nan ms", id="short: NaN"),
    ],
)
def test_hostile_line_is_unreadable_in_every_format(line: str) -> None:
    for each in FORMATS.values():
        with pytest.raises(UnreadableError):
            each.read(line)


@given(st.text())
def test_any_text_is_unreadable(line: str) -> None:
    assert find([line]) is None


@pytest.mark.parametrize("name", [*FORMATS, '%(h)s %(u)s %(a)s %(f)s "%(r)s" %(s)s %(b)s'])
@pytest.mark.parametrize(
    "part",
    [
        " ",
        '"',
        "\\",
        "=",
        "a ",
        "{1} ",
        '" 200 5 "',
        "() {1 vars in 1 bytes} [Sun Nov 29 01:46:07 2026] GET ",
        "=> generated 5 bytes in 1 msecs ",
        '[29/Nov/2026:01:46:07 +0000] "',
        "01:46:07 GET / 200 5 ",
    ],
)
def test_longest_line_is_read_in_little_time(name: str, part: str) -> None:
    start = "[pid: 1|app: 0|req: 1/1] 1 " if name == "uwsgi" else "192.0.2.7 - - "
    line = (start + part * 65_536)[:65_536]
    began_s = time.process_time()
    with pytest.raises(UnreadableError):
        named(name).read(line)
    assert time.process_time() - began_s < 2


def test_texts_of_json_may_hold_anything() -> None:
    line = json_line(path="/\x00\x1b[31m<script>\u202e\ud800")
    assert FORMATS["json"].read(line).path == "/\x00\x1b[31m<script>\u202e\ud800"
