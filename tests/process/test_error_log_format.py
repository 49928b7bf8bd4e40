"""The error log as text and as JSON: one record for a failed request, with all that is known of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.waiting import wait_until

from .conftest import Portico, Start

SHOP = """
import sys
class Broken(Exception):
    pass
def late(environ):
    yield b"first"
    raise Broken("late")
def application(environ, start_response):
    environ["wsgi.errors"].write("as it was written\\n")
    if environ["PATH_INFO"] == "/named":
        environ["portico.route"] = "/named/<n>"
        environ["portico.request_id"] = "r-1"
    if environ["PATH_INFO"] == "/late":
        start_response("200 OK", [])
        return late(environ)
    if environ["PATH_INFO"] == "/fine":
        start_response("200 OK", [])
        return [b"fine"]
    if environ["PATH_INFO"].startswith("/long"):
        environ["portico.route"] = environ["portico.request_id"] = "r" * 100_000
        raise Broken("m" * 1_000_000 + "end")
    if environ["PATH_INFO"] == "/deep":
        return even(450)
    raise Broken('of "it"\\nin two lines')
def even(depth):
    return odd(depth)
def odd(depth):
    if not depth:
        raise Broken("deep")
    return even(depth - 1)
"""


def request(portico: Portico, target: str, *headers: str) -> bytes:
    """All that comes back."""
    with portico.connect() as connection:
        lines = [f"GET {target} HTTP/1.1", "Host: test", "Connection: close", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        received = b""
        while data := connection.recv(65536):
            received += data
    return received


def records(portico: Portico) -> list[dict[str, Any]]:
    """Those of portico: every line of the log is one, but for what the application has written."""
    lines = [line for line in portico.log().splitlines() if line != "as it was written"]
    return [json.loads(line) for line in lines]


def failures(portico: Portico, count: int) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]] | None:
        whole = [each for each in records(portico) if "error.type" in each]
        return whole if len(whole) >= count else None

    return wait_until(found, what="the records of failures")


@pytest.fixture
def server(start: Start) -> Portico:
    portico = start(SHOP, "-w", "1", "--error-log-format", "json")
    portico.wait_ready()
    return portico


def test_a_failed_request_is_one_line_of_json(server: Portico) -> None:
    assert request(server, "/named?x=1").startswith(b"HTTP/1.1 500 ")
    (record,) = failures(server, 1)
    trace = record.pop("error.stack_trace")
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith('shop.Broken: of "it"\nin two lines')
    assert record.pop("@timestamp").endswith("Z")
    assert record.pop("process.pid") in server.worker_pids
    assert record == {
        "log.level": "error",
        "message": "the application shop:application at GET /named failed",
        "ecs.version": "8.11.0",
        "log.logger": "portico",
        "http.request.method": "GET",
        "url.path": "/named",
        "http.route": "/named/<n>",
        "http.request.id": "r-1",
        "error.type": "Broken",
        "error.message": 'of "it"\nin two lines',
    }


def test_the_id_of_a_request_is_taken_from_its_header_and_cannot_forge(server: Portico) -> None:
    request(server, "/other", 'X-Request-ID: a"b\\c')
    (record,) = failures(server, 1)
    assert record["http.request.id"] == 'a\\"b\\\\c'
    assert "http.route" not in record


def test_a_failure_after_the_head_has_its_record_too(server: Portico) -> None:
    request(server, "/late")
    (record,) = failures(server, 1)
    assert (record["url.path"], record["error.message"]) == ("/late", "late")


def test_every_record_of_portico_is_json(server: Portico) -> None:
    assert request(server, "/fine").endswith(b"fine")
    server.stop()
    found = records(server)
    assert {"info"} == {each["log.level"] for each in found}
    assert any("portico" in each["message"] and "\n" in each["message"] for each in found), found
    assert "as it was written\n" in server.log()


def test_text_has_the_names_of_the_request_and_the_traceback_in_one_record(start: Start) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    request(portico, "/named")
    portico.wait_for('shop.Broken: of "it"\nin two lines\n')
    record = portico.log().partition("the application ")[2]
    assert record.startswith(
        "shop:application at GET /named failed, route /named/<n>, request id r-1\n"
        "Traceback (most recent call last):\n"
    )


LONG_PATH = f"/long/{'p' * 7000}"
NAME_BYTES = 1200
TEXT_BYTES = 32 * 1024


def test_texts_of_a_record_are_bounded_and_say_so(server: Portico) -> None:
    request(server, LONG_PATH)
    (record,) = failures(server, 1)
    assert record["url.path"] == LONG_PATH[:NAME_BYTES] + "..."
    assert record["http.route"] == record["http.request.id"] == "r" * NAME_BYTES + "..."
    assert record["message"] == f"the application shop:application at GET {record['url.path']} failed"
    starts = {"error.message": "mmm", "error.stack_trace": "Traceback (most recent call last):\n"}
    for name, start in starts.items():
        text = record[name]
        assert text.startswith(start)
        assert text.endswith("mmmend")
        assert " bytes are left out ..." in text
        assert TEXT_BYTES <= len(text) < TEXT_BYTES + 100, name


def test_of_a_long_traceback_both_ends_are_there(server: Portico) -> None:
    request(server, "/deep")
    (record,) = failures(server, 1)
    trace = record["error.stack_trace"]
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith("shop.Broken: deep")
    assert len(trace) < TEXT_BYTES + 100


def test_a_record_of_text_is_bounded_too(start: Start) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    request(portico, LONG_PATH)
    portico.wait_for("mmmend\n")
    record = portico.log().partition("the application ")[2]
    assert len(record) < TEXT_BYTES + 4 * NAME_BYTES
