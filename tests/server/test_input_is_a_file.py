"""`wsgi.input` is a binary file, wherever the body is: in memory, in a temporary file, or still coming in."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from apps.files_in import results
from support.gateway_server import LISTENERS, running_gateway_server
from support.raw_client import chunked, request_bytes
from support.server import Server
from support.ways import bodies_in_calls

Calls = list[list[Any]]

SPOOL = 256 << 10
ENVIRONMENT = {"PORTICO_BODY_MEMORY": "16K", "PORTICO_BODY_SPOOL": str(SPOOL)}
SIZES = {"read buffer": 300, "memory": 12_000, "temporary file": 200_000}
"""Bodies that have come before the call, by where they are then."""
STREAMED = 600_000


@pytest.fixture(scope="module", params=[1, 4], ids=["1-thread", "4-threads"])
def files(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server("apps.files_in:application", threads=request.param, environment=ENVIRONMENT) as running:
        yield running


def body_of(size: int) -> bytes:
    """Lines of every length up to a few hundred; where there is room one is longer than any buffer."""
    lines = [b"%d %b\n" % (number, b"y" * (number % 300)) for number in range(2000)]
    if size > 100_000:
        lines.insert(100, b"z" * 70_000 + b"\n")
    return b"".join(lines)[:size].ljust(size, b"x")


def post(server: Server, target: str, body: bytes, coding: str = "length") -> Any:
    with server.connect() as connection:
        if coding == "chunked":
            head = request_bytes(target, "POST", headers=["Transfer-Encoding: chunked"])
            connection.send(head + chunked(*(body[at : at + 9000] for at in range(0, len(body), 9000))))
            response = connection.read_response()
        else:
            response = connection.request(target, method="POST", body=body)
    assert response.status == 200, response
    return json.loads(response.body)


def calls_target(calls: Calls) -> str:
    return "/calls?calls=" + quote(json.dumps(calls))


READING: dict[str, Calls] = {
    "reads": [
        ["read", 5],
        ["read1", 7],
        ["readinto", 10],
        ["read", 0],
        ["readline"],
        ["readline", 3],
        ["read"],
    ],
    "lines": [["readline"], ["readlines", 1], ["readlines", 1000], ["iterate"], ["readline"], ["read1", 5]],
    "long lines": [["readline", 100_000], ["read", 66_000], ["readline", 100_000], ["readline"], ["iterate"]],
    "to the end": [["read"], ["read"], ["read1"], ["readinto", 3], ["readlines"], ["iterate"], ["read", 5]],
}
"""What can be asked of every body."""
SEEKING: dict[str, Calls] = {
    "back to the start": [["read"], ["seek", 0], ["tell"], ["read", 9], ["tell"], ["seek", 0], ["readlines"]],
    "from here": [["read", 150], ["seek", -50, 1], ["read", 70], ["seek", 20, 1], ["readline"], ["tell"]],
    "from the end": [["seek", 0, 2], ["tell"], ["read"], ["seek", -30, 2], ["read1", 20], ["read"]],
    "far apart": [["seek", 199_000], ["read", 9], ["seek", 10], ["read", 90_000], ["seek", 1], ["iterate"]],
    "beyond the end": [["seek", 300_000], ["tell"], ["read"], ["readline"], ["seek", 5], ["read", 5]],
    "before the start": [["seek", -5], ["seek", -900_000, 1], ["tell"], ["seek", -900_000, 2], ["read", 3]],
    "whence": [["seek", 0, 3], ["seek", 1, -1], ["seek", 1.5], ["seek", None], ["tell"]],
    "what it is": [["readable"], ["seekable"], ["isatty"], ["fileno"], ["flush"], ["closed"]],
}
"""What can be asked of those that have come before the call."""


@pytest.mark.parametrize("coding", ["length", "chunked"])
@pytest.mark.parametrize("size", [*SIZES.values(), STREAMED], ids=[*SIZES, "streamed"])
@pytest.mark.parametrize("calls", READING.values(), ids=READING)
def test_reads_as_a_file_in_memory_does(files: Server, calls: Calls, size: int, coding: str) -> None:
    body = body_of(size)
    expected = results(io.BytesIO(body), calls)
    found = post(files, calls_target(calls), body, coding)
    for number, (name, *arguments) in enumerate(calls):
        if name == "read1" and size > SIZES["memory"]:
            # It may give less, as any file that is not in memory.
            expected[number:], found[number:] = [], []
            break
        assert found[number] == expected[number], (name, arguments)
    assert found == expected


@pytest.mark.parametrize("size", [0, *SIZES.values()], ids=["no body", *SIZES])
@pytest.mark.parametrize("calls", SEEKING.values(), ids=SEEKING)
def test_seeks_as_a_file_in_memory_does(files: Server, calls: Calls, size: int) -> None:
    body = body_of(size)
    assert post(files, calls_target(calls), body) == results(io.BytesIO(body), calls)


@pytest.mark.parametrize("size", [0, *SIZES.values(), STREAMED], ids=["no body", *SIZES, "streamed"])
def test_nothing_can_be_written_to_it(files: Server, size: int) -> None:
    calls: Calls = [["writable"], ["write", "x"], ["truncate"]]
    assert post(files, calls_target(calls), body_of(size)) == [False, "AttributeError", "AttributeError"]


def test_a_request_without_a_body_has_an_empty_file(files: Server) -> None:
    calls: Calls = [
        ["seekable"],
        ["seek", 0, 2],
        ["tell"],
        ["read"],
        ["read1"],
        ["readinto", 3],
        ["seek", 0],
        ["iterate"],
    ]
    with files.connect() as connection:
        response = connection.request(calls_target(calls))
    assert json.loads(response.body) == results(io.BytesIO(), calls)


@bodies_in_calls
def test_a_streamed_body_says_that_it_cannot_seek(files: Server) -> None:
    calls: Calls = [
        ["seekable"],
        ["tell"],
        ["seek", 0],
        ["readable"],
        ["read"],
        ["seekable"],
        ["seek", 0],
    ]
    body = body_of(STREAMED)
    no = "UnsupportedOperation"
    assert post(files, calls_target(calls), body) == [False, no, no, True, body.decode(), False, no]


@pytest.mark.parametrize("size", [*SIZES.values(), STREAMED], ids=[*SIZES, "streamed"])
@pytest.mark.parametrize("use", ["text", "buffered", "wrapped-and-dropped"])
def test_wrappers_of_the_io_module_take_it(files: Server, use: str, size: int) -> None:
    body = body_of(size)
    assert post(files, f"/{use}", body) == body.decode()


@pytest.mark.parametrize("size", [*SIZES.values(), STREAMED], ids=[*SIZES, "streamed"])
def test_csv_is_read_from_it(files: Server, size: int) -> None:
    rows = [[str(number), "a, b", "line\nbreak"] for number in range(size // 25)]
    body = "".join(f'{row[0]},"{row[1]}","{row[2]}"\r\n' for row in rows).encode()
    assert post(files, "/rows", body) == rows


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_an_archive_is_read_from_it(files: Server, size: int) -> None:
    content = {"first.txt": "one", "second.txt": "x" * (size - 250)}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, text in content.items():
            file.writestr(name, text)
    assert post(files, "/archive", archive.getvalue()) == content


@pytest.mark.parametrize("size", [*SIZES.values(), STREAMED], ids=[*SIZES, "streamed"])
def test_compressed_files_and_tapes_are_read_from_it(files: Server, size: int) -> None:
    text = body_of(size).decode()
    with io.BytesIO() as memory:
        with tarfile.open(fileobj=memory, mode="w") as archive:
            for name in ("first", "second"):
                member = tarfile.TarInfo(name)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
        tape = memory.getvalue()
    assert post(files, "/decompressed", gzip.compress(text.encode(), 0)) == text
    assert post(files, "/tape", tape) == {"first": text, "second": text}


@pytest.mark.parametrize("size", [0, *SIZES.values(), STREAMED], ids=["no body", *SIZES, "streamed"])
def test_it_is_a_buffered_binary_file_to_those_who_ask(files: Server, size: int) -> None:
    assert post(files, "/is-a-file", body_of(size)) == [True, True, False, False]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_body_is_read_again(files: Server, size: int) -> None:
    body = body_of(size).decode()
    assert post(files, "/read-twice", body.encode()) == [body, body]


@pytest.mark.parametrize(
    ("memory", "spool"),
    [("16M", "16M"), ("16K", "16M"), ("16K", "1M")],
    ids=["memory", "temporary file", "streamed"],
)
@pytest.mark.parametrize(
    ("query", "line"),
    [("size=64", b"x" * 64), ("size=65", b"x" * 63 + b"\n"), ("", b"x" * 63 + b"\n"), ("size=7", b"x" * 7)],
    ids=["no newlines", "newlines", "iteration", "tiny"],
)
def test_lines_are_read_in_linear_time(query: str, line: bytes, memory: str, spool: str) -> None:
    body = line * ((4 << 20) // len(line))
    environment = {"PORTICO_BODY_MEMORY": memory, "PORTICO_BODY_SPOOL": spool}
    with Server("apps.files_in:application", environment=environment) as server:
        found = post(server, f"/lines?{query}", body)
    assert (found["bytes"], found["lines"]) == (len(body), len(body) // len(line))
    # In quadratic time it would be more than ten seconds.
    assert found["cpu_s"] < 4e-6 * found["lines"] + 0.2, found


def test_one_line_longer_than_all_buffers_is_read_in_linear_time(files: Server) -> None:
    body = b"x" * (8 << 20)
    found = post(files, "/lines", body)
    assert (found["bytes"], found["lines"]) == (len(body), 1)
    assert found["cpu_s"] < 0.5


@pytest.mark.parametrize("name", ["uwsgi", "scgi", "fastcgi"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_bodies_of_reverse_proxies_seek_too(name: str, size: int) -> None:
    body = body_of(size)
    calls: Calls = SEEKING["from here"] + SEEKING["back to the start"]
    with running_gateway_server(
        *("--body-memory", "16K"),
        listeners={name: LISTENERS[name]},
        application="apps.files_in:application",
        is_strict=False,
    ) as server:
        response = server.ask(name, calls_target(calls), "POST", body)
    assert json.loads(response.body) == results(io.BytesIO(body), calls)


@pytest.mark.parametrize("size", [*SIZES.values(), STREAMED], ids=[*SIZES, "streamed"])
def test_it_is_closed_when_the_call_is_over(files: Server, size: int) -> None:
    calls: Calls = [
        ["read"],
        ["readline"],
        ["readlines"],
        ["iterate"],
        ["readinto", 5],
        ["seek", 0],
        ["tell"],
        ["readable"],
    ]
    assert post(files, "/keep", body_of(size)) == "kept"
    found = post(files, "/kept?calls=" + quote(json.dumps(calls)), b"")
    assert found == [True] + ["ValueError"] * len(calls)


# --- Requests without a body: each has a file of its own, as far as anybody can tell


def get(server: Server, *targets: str) -> list[Any]:
    """What requests without a body are responded to, on one connection."""
    with server.connect() as connection:
        return [json.loads(connection.request(target).body) for target in targets]


@pytest.mark.parametrize("calls", SEEKING.values(), ids=SEEKING)
def test_a_file_without_a_body_seeks_as_an_empty_one_in_memory(files: Server, calls: Calls) -> None:
    assert get(files, calls_target(calls)) == [results(io.BytesIO(), calls)]


def test_where_one_request_has_read_to_is_nothing_to_the_next(files: Server) -> None:
    moving, asking = calls_target([["seek", 7], ["tell"]]), calls_target([["tell"], ["closed"]])
    for _ in range(3):
        assert get(files, moving, asking) == [[7, 7], [0, False]]


@pytest.mark.parametrize("calls", [[["close"]], [["seek", 3], ["close"]], [["__exit__", None, None, None]]])
def test_what_one_request_does_to_its_file_is_nothing_to_the_next(files: Server, calls: Calls) -> None:
    asking = calls_target([["closed"], ["read"], ["tell"], ["readable"]])
    for _ in range(3):
        assert get(files, calls_target(calls), asking)[1] == [False, "", 0, True]


def test_a_kept_file_without_a_body_is_closed_after_its_call(files: Server) -> None:
    calls: Calls = [["read"], ["readline"], ["seek", 0], ["tell"], ["readable"]]
    for _ in range(3):
        kept, found = get(files, "/keep", "/kept?calls=" + quote(json.dumps(calls)))
        assert (kept, found) == ("kept", [True] + ["ValueError"] * len(calls))


def test_a_kept_file_is_no_other_requests(files: Server) -> None:
    """Else who keeps things by it would find those of somebody else."""
    kept = "/kept?calls=" + quote(json.dumps([["__repr__"]]))
    get(files, "/keep", "/keep", "/keep")
    assert len({repr(found) for found in get(files, kept, kept, kept)}) == 3


def test_what_nobody_keeps_is_used_again() -> None:
    """A request without a body costs nothing for that."""
    with Server("apps.files_in:application", threads=1) as server:
        assert len(set(get(server, *["/identity"] * 20))) == 1


def test_nothing_can_be_noted_on_it(files: Server) -> None:
    calls: Calls = [["__setattr__", "owner", "shop"], ["owner"]]
    assert get(files, calls_target(calls)) == [["AttributeError", "AttributeError"]]
