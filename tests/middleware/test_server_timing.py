"""portico.middleware.server_timing: entries, their grammar (W3C Server Timing), and the time of the call."""

from __future__ import annotations

import re
from typing import Any

import pytest
from portico.middleware.server_timing import ServerTiming, Timings

from .whole_calls import call, environ_for, starts_anew

TEXT = ("Content-Type", "text/plain")
_METRIC = r'[!#$%&\'*+\-.^_`|~0-9A-Za-z]+(?:;dur=\d+\.\d{3})?(?:;desc="(?:[ !#-\[\]-~]|\\[\\"])*")?'


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [b"body"]


def test_the_time_until_the_head_is_in_the_response() -> None:
    value = call(ServerTiming(application), environ_for()).get("Server-Timing")
    assert value is not None
    assert re.fullmatch(r"total;dur=\d+\.\d{3}", value)
    assert 0 <= float(value.partition("=")[2]) < 5000


def test_the_total_may_be_called_otherwise() -> None:
    middleware = ServerTiming(application, name="app", description="the shop")
    value = call(middleware, environ_for()).get("Server-Timing")
    assert value is not None
    assert re.fullmatch(r'app;dur=\d+\.\d{3};desc="the shop"', value)


def test_what_the_application_adds_comes_before_the_total() -> None:
    def adds(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        timings = environ["portico.server_timing"]
        timings.add("cache", description="hit")
        timings.add("db", 0.0123456, "two queries")
        with timings.measure("render"):
            pass
        return application(environ, start_response)

    value = call(ServerTiming(adds), environ_for()).get("Server-Timing")
    assert value is not None
    parts = value.split(", ")
    assert parts[:2] == ['cache;desc="hit"', 'db;dur=12.346;desc="two queries"']
    assert [part.partition(";")[0] for part in parts[2:]] == ["render", "total"]
    assert re.fullmatch(f"{_METRIC}(?:, {_METRIC})*", value)


def test_a_block_that_raises_is_measured_too() -> None:
    timings = Timings()
    with pytest.raises(RuntimeError), timings.measure("db"):
        raise RuntimeError
    assert timings.value().startswith("db;dur=")


@pytest.mark.parametrize(
    ("description", "shown"),
    [
        ('say "hi"', r"say \"hi\""),
        ("back\\slash", r"back\\slash"),
        ("caf\xe9 \U0001f600", "caf? ?"),
        ("two\r\nSet-Cookie: a=1", "two??Set-Cookie: a=1"),
        ("a, b; c=d", "a, b; c=d"),
    ],
)
def test_a_description_is_a_quoted_string_whatever_is_in_it(description: str, shown: str) -> None:
    timings = Timings()
    timings.add("a", description=description)
    assert timings.value() == f'a;desc="{shown}"'
    assert re.fullmatch(_METRIC, timings.value())


@pytest.mark.parametrize("name", ["", "a b", "a,b", "a;b", "a=b", 'a"', "caf\xe9", "a\n"])
def test_rejects_a_name_that_is_no_token(name: str) -> None:
    with pytest.raises(ValueError, match="expected a token"):
        Timings().add(name)
    with pytest.raises(ValueError, match="expected a token"):
        ServerTiming(application, name=name)


@pytest.mark.parametrize("duration_s", [-0.001, float("inf"), float("nan")])
def test_rejects_a_duration_that_is_none(duration_s: float) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        Timings().add("db", duration_s)


def test_headers_of_the_application_stay() -> None:
    def sends_its_own(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Server-Timing", "own"), TEXT])
        return [b""]

    values = call(ServerTiming(sends_its_own), environ_for()).all("Server-Timing")
    assert [value.partition(";")[0] for value in values] == ["own", "total"]


def test_an_error_page_has_one_header() -> None:
    called = call(ServerTiming(starts_anew), environ_for())
    assert (called.status, len(called.all("Server-Timing"))) == ("500 Oops", 1)


def test_what_the_application_returns_is_not_touched() -> None:
    result = [b"a", b"b"]

    def returns(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        return result

    assert ServerTiming(returns)(environ_for(), lambda *arguments: lambda block: None) is result
