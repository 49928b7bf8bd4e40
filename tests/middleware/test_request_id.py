"""portico.middleware.request_id: the name of a request, where it comes from and where it is seen."""

from __future__ import annotations

import contextvars
import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from portico.middleware.request_id import RequestID, current_request_id
from portico.middleware.request_id_filter import RequestIDFilter

from .whole_calls import Called, call, environ_for, starts_anew

TEXT = ("Content-Type", "text/plain")
GIVEN = "7c9e-6679_A.b~+/=:@"


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [f"{environ['portico.request_id']} {current_request_id.get()}".encode()]


def named(given: str | None, *, remote: str = "192.0.2.7", app: Any = application, **options: Any) -> Called:
    headers = [] if given is None else [("X-Request-ID", given)]
    return call(RequestID(app, **options), environ_for(headers=headers, REMOTE_ADDR=remote))


def test_each_request_has_a_name_of_its_own() -> None:
    names = {named(None).get("X-Request-ID") for _ in range(10)}
    assert len(names) == 10
    assert all(name and len(name) == 32 and int(name, 16) for name in names)


def test_the_name_is_in_environ_in_the_response_and_around_the_call() -> None:
    called = named(None)
    name = called.get("X-Request-ID")
    assert called.body.decode() == f"{name} {name}"
    assert current_request_id.get() == ""


@pytest.mark.parametrize(
    ("trusted", "remote", "is_taken"),
    [
        ((), "127.0.0.1", False),
        ("*", "192.0.2.7", True),
        (["*"], "", True),
        (["192.0.2.0/24"], "192.0.2.7", True),
        (["192.0.2.7", "::1"], "::1", True),
        (["192.0.2.0/24"], "192.0.3.7", False),
        (["192.0.2.0/24"], "::ffff:192.0.2.7", True),
        (["192.0.2.0/24"], "", False),
        (["192.0.2.0/24", "unix"], "", True),
        (["unix"], "", True),
        (["unix"], "127.0.0.1", False),
        (["10.0.0.0/8"], "no address", False),
        (lambda environ: environ["REMOTE_ADDR"] == "192.0.2.7", "192.0.2.7", True),
        (lambda environ: False, "192.0.2.7", False),
    ],
)
def test_a_name_is_taken_from_those_who_are_trusted(trusted: Any, remote: str, is_taken: bool) -> None:
    called = named(GIVEN, remote=remote, trusted=trusted)
    assert (called.get("X-Request-ID") == GIVEN) == is_taken


@pytest.mark.parametrize("given", ["", "a b", "a\nb", "a\x1bb", "caf\xe9", 'a"b', "a,b", "a" * 129, "<a>"])
def test_a_name_that_is_not_well_formed_is_not_taken_from_anybody(given: str) -> None:
    assert named(given, trusted="*").get("X-Request-ID") != given


def test_the_longest_name_is_taken() -> None:
    assert named("a" * 128, trusted="*").get("X-Request-ID") == "a" * 128


def test_header_and_maker_may_be_others() -> None:
    environ = environ_for(headers=[("X-Request-ID", GIVEN), ("Trace", "t1")])
    assert call(RequestID(application, header="Trace", trusted="*"), environ).get("Trace") == "t1"
    assert named(None, make=lambda: "made").get("X-Request-ID") == "made"


def test_rejects_a_peer_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"^trusted: expected addresses, networks"):
        RequestID(application, trusted=["proxy.example"])


@pytest.mark.parametrize("header", ["", "X Request", "X-Request-ID:", "X-Größe"])
def test_rejects_a_header_that_is_none(header: str) -> None:
    with pytest.raises(ValueError, match="header: expected the name of a header, such as X-Request-ID, got "):
        RequestID(application, header=header)


def test_the_header_of_the_application_gives_way() -> None:
    def sends_its_own(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("x-request-id", "own"), TEXT])
        return [b""]

    assert named(GIVEN, app=sends_its_own, trusted="*").all("X-Request-ID") == [GIVEN]


def test_the_name_is_current_while_blocks_are_made_and_not_in_between() -> None:
    seen = []

    class Blocks:
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(2):
                seen.append(current_request_id.get())
                yield b"block"

        def close(self) -> None:
            seen.append(current_request_id.get())

    def makes_blocks(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        return Blocks()

    body: Any = RequestID(makes_blocks, make=lambda: "made")(
        environ_for(), lambda *arguments: lambda block: None
    )
    for block in body:
        assert (block, current_request_id.get()) == (b"block", "")
    # A server may take blocks in another context than it has called in.
    contextvars.Context().run(body.close)
    assert seen == ["made", "made", "made"]


def test_an_exception_passes_and_leaves_no_name_behind() -> None:
    def fails(environ: Any, start_response: Any) -> Any:
        raise RuntimeError(current_request_id.get())

    with pytest.raises(RuntimeError, match=r"^made$"):
        named(None, app=fails, make=lambda: "made")
    assert current_request_id.get() == ""


def test_exc_info_reaches_the_server() -> None:
    called = named(None, app=starts_anew)
    assert (called.status, len(called.all("X-Request-ID"))) == ("500 Oops", 1)


@pytest.mark.parametrize(
    "result", [[b"a", b"b"], (b"a",), FileWrapper(io.BytesIO(b"file"))], ids=["list", "tuple", "file"]
)
def test_what_is_made_already_stays_what_it_is(result: Any) -> None:
    def returns(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        return result

    environ = environ_for(**{"wsgi.file_wrapper": FileWrapper})
    assert RequestID(returns)(environ, lambda *arguments: lambda block: None) is result


def test_the_filter_puts_the_name_on_each_record() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RequestIDFilter())
    handler.setFormatter(logging.Formatter("%(request_id)s %(message)s"))
    logger = logging.Logger("shop")
    logger.addHandler(handler)

    def logs(environ: Any, start_response: Any) -> list[bytes]:
        logger.warning("inside")
        return application(environ, start_response)

    named(GIVEN, app=logs, trusted="*")
    logger.warning("outside")
    assert stream.getvalue() == f"{GIVEN} inside\n- outside\n"


def test_who_does_not_log_does_not_import_logging() -> None:
    names = "{'logging', 'ipaddress', 'typing'}"
    source = f"import sys, portico.middleware.request_id; print({names} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
