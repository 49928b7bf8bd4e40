"""`import portico`, `python -m portico`, and the program at the end of `wsgiref.simple_server`."""

from __future__ import annotations

import contextlib
import socket
import statistics
import subprocess
import sys
import wsgiref.simple_server
from pathlib import Path

import portico
import pytest
from support.raw_client import Connection
from support.server import free_port

from .embedded import ENVIRONMENT

FETCH = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=20).read()"
MOST_MS = 5


def test_import_loads_nothing_else() -> None:
    code = "import sys; before = {*sys.modules}; import portico; print(*({*sys.modules} - before))"
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {python_folder()!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.split() == ["portico"]


def test_import_takes_next_to_no_time() -> None:
    """In a process that has not had it: by the interpreter's own clock, so starting up is not in it."""
    code = (
        f"import sys, time; sys.path.insert(0, {python_folder()!r}); began = time.perf_counter(); "
        "import portico; print((time.perf_counter() - began) * 1000)"
    )
    command = [sys.executable, "-I", "-c", code]
    times_ms = [float(subprocess.check_output(command, text=True)) for _ in range(5)]
    assert statistics.median(times_ms) < MOST_MS


def python_folder() -> str:
    return str(Path(portico.__file__).parents[1])


def test_names_are_listed_and_others_are_an_error() -> None:
    assert {"running", "serve"} <= {*dir(portico)}
    with pytest.raises(AttributeError, match="module 'portico' has no attribute 'server'"):
        portico.server  # noqa: B018


# --- python -m portico


@pytest.fixture
def browser(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """An environment whose browser writes the address down and fetches it, and where that stands."""
    opened = tmp_path / "opened"
    program = tmp_path / "browser"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nopen({str(opened)!r}, 'w').write(sys.argv[1])\n{FETCH}\n"
    )
    program.chmod(0o755)
    return {**ENVIRONMENT, "BROWSER": f"{program} %s &"}, opened


def is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False


@pytest.mark.skipif(not is_free(8000), reason="somebody listens on port 8000 of this machine")
def test_module_without_a_command_serves_a_demonstration(browser: tuple[dict[str, str], Path]) -> None:
    environment, opened = browser
    with subprocess.Popen(
        [sys.executable, "-m", "portico", "--open"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            # The access log's line about what the browser has asked.
            assert '"GET / HTTP/1.1" 200' in process.stdout.readline()
            assert opened.read_text() == "http://127.0.0.1:8000/"
            with Connection(("127.0.0.1", 8000)) as client:
                body = client.request("/xyz?abc").body
            assert body.startswith(b"Hello world!\n")
            assert b"QUERY_STRING = 'abc'" in body
            second = subprocess.run(
                [sys.executable, "-m", "portico"], env=environment, capture_output=True, text=True, timeout=20
            )
            assert (second.returncode, f"in use by process {process.pid}" in second.stderr) == (4, True)
            process.send_signal(2)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_module_with_a_command_is_the_command_line() -> None:
    said = subprocess.check_output([sys.executable, "-m", "portico", "--version"], env=ENVIRONMENT, text=True)
    assert said == f"portico {portico.__version__}\n"


# --- The seed


def test_program_at_the_end_of_wsgiref_runs_with_the_import_changed(
    tmp_path: Path, browser: tuple[dict[str, str], Path]
) -> None:
    """It opens a browser at http://localhost:8000/xyz?abc, serves that one request, and ends."""
    source = Path(wsgiref.simple_server.__file__).read_text()
    _, begins, program = source.partition("if __name__ == '__main__':\n")
    assert begins
    port = free_port()
    path = tmp_path / "seed.py"
    path.write_text(f"from portico.simple_server import *\n{begins}" + program.replace("8000", str(port)))
    environment, opened = browser
    ended = subprocess.run(
        [sys.executable, str(path)], env=environment, capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"Serving HTTP on 0.0.0.0 port {port} ...\n"
    assert opened.read_text() == f"http://localhost:{port}/xyz?abc"
    assert '"GET /xyz?abc HTTP/1.1" 200' in ended.stderr


# --- The example


def test_example_shows_its_work_and_ends_when_it_is_told(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples/embedded.py"
    with subprocess.Popen(
        [sys.executable, str(example)], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[0]
            with Connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
                assert client.request("/").body.endswith(b" of 20 steps are done\n")
                client.request("/stop", method="POST")
            assert process.wait(20) == 0
        finally:
            process.kill()
