"""docs/wire.md: every block of it is run."""

from __future__ import annotations

import doctest
import http.client
import re
import shlex
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from portico import wire
from support.pages import DOCS, blocks_of

ROOT = Path(__file__).parents[2]
PAGE = (DOCS / "wire.md").read_text("utf-8")
BLOCKS = [(block.language, block.text) for block in blocks_of(PAGE)]


def test_there_are_only_blocks_that_are_run() -> None:
    assert {language for language, _ in BLOCKS} == {"pycon", "python", "console"}


def test_examples_print_what_the_page_says(capsys: Any) -> None:
    names: dict[str, Any] = {}
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    parser = doctest.DocTestParser()
    for number, (language, text) in enumerate(BLOCKS):
        if language == "python":
            exec(text, names)
        elif language == "pycon":
            test = parser.get_doctest(text, names, f"block {number}", "docs/wire.md", 0)
            runner.run(test, clear_globs=False)
            names.update(test.globs)
    assert runner.tries > 30
    assert runner.failures == 0, capsys.readouterr().out


def test_the_loop_reads_a_connection() -> None:
    names: dict[str, Any] = {"wire": wire}
    [loop] = [text for language, text in BLOCKS if language == "python"]
    exec(loop, names)

    class Pieces:
        def __init__(self, *pieces: bytes) -> None:
            self.pieces = list(pieces)

        def recv(self, size: int) -> bytes:
            return self.pieces.pop(0)

    connection = Pieces(b"GET / HTTP/1.1\r\nHo", b"st: a\r\n\r\n", b"")
    parser = wire.RequestParser()
    events = [names["next_event"](parser, connection) for _ in range(3)]
    assert [repr(event) for event in events] == ["<RequestHead GET / HTTP/1.1>", "EndOfRequest(())", "CLOSED"]


def test_the_command_serves() -> None:
    [console] = [text for language, text in BLOCKS if language == "console"]
    line, printed = console.splitlines()
    python, *arguments, port = shlex.split(line.removeprefix("$ "))
    assert (python, printed) == ("python", f"http://127.0.0.1:{port}/")
    command = [sys.executable, *arguments, "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\n", process.stdout.readline())
            assert found is not None
            with closing(http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=10)) as connection:
                connection.request("GET", "/")
                assert connection.getresponse().read() == b"Hello, world!"
        finally:
            process.terminate()
            process.wait(10)


def test_every_name_is_on_the_page() -> None:
    for name in wire.__all__:
        assert name in PAGE or name in ("Event", "ParserState")
