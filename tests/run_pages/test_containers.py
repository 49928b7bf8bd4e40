"""docs/run/containers.md shows what is printed, and what it says of process 1 and of read-only file systems
is so."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import pytest
from generate.made import generated, statements
from process.conftest import Portico, Start
from support.raw_client import Connection
from support.waiting import wait_until

from .pages import blocks, page

DOCS = Path(__file__).parents[2] / "docs"
LINES = [line[2:] for block in blocks("containers", "console") for line in block.splitlines()]
LANGUAGES = {"dockerfile": "dockerfile", "k8s": "yaml"}
BLOCKS = [
    (target, block) for target, language in LANGUAGES.items() for block in blocks("containers", language)
]
in_namespaces = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None, reason="takes root and unshare (util-linux)"
)


def words_of(target: str) -> list[str]:
    """The command of the page that makes TARGET, from there on, but for where it is written."""
    (line,) = [line for line in LINES if line.startswith(f"portico generate {target} ")]
    words = shlex.split(line)[2:]
    return words[: words.index("-o")]


@pytest.fixture(scope="module")
def printed() -> dict[str, str]:
    as_printed = run_path(str(DOCS / "generate_generate.py"))["printed"]
    return {target: as_printed(shlex.join(words_of(target))) for target in LANGUAGES}


@pytest.mark.parametrize(("target", "block"), BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_is_what_is_printed(target: str, block: str, printed: dict[str, str]) -> None:
    assert f"\n{block}" in printed[target]


def test_every_line_of_the_dockerfile_is_shown(printed: dict[str, str]) -> None:
    shown = statements("".join(blocks("containers", "dockerfile")))
    assert [line for line in statements(printed["dockerfile"]) if line not in shown] == []


def test_a_longer_graceful_timeout_has_the_grace_period_of_the_page() -> None:
    text = generated(*words_of("k8s"), "--graceful-timeout", "2m")
    found = re.search(r"which then says (\d+) s", page("containers"))
    assert found
    assert f"terminationGracePeriodSeconds: {found[1]}\n" in text


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith(("docker ", "kubectl "))])
def test_a_command_has_options_that_there_are(line: str) -> None:
    program, verb, *words = shlex.split(line)
    if shutil.which(program) is None:
        pytest.skip(f"NOT TESTED: options of {program}, which is missing")
    asked = [program, verb, *(["status"] if verb == "rollout" else []), "--help"]
    known = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    assert [flag for flag in flags if not re.search(rf"{flag}\b", known)] == []


LEAVING_OTHERS_BEHIND = """
import os, subprocess
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    query = environ["QUERY_STRING"]
    if query:
        return [str(os.path.exists(f"/proc/{query}")).encode()]
    # The shell ends at once, and process 1 becomes the parent of what it has started.
    left = subprocess.run(["sh", "-c", "sleep 0.2 >&2 & echo $!"], stdout=subprocess.PIPE)
    return [b"%d %d" % (os.getppid(), int(left.stdout))]
"""


@in_namespaces
def test_as_process_1_it_stops_by_term_and_leaves_no_zombies(start: Start) -> None:
    program = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-m", "portico"]
    portico = start(LEAVING_OTHERS_BEHIND, program=program)
    portico.wait_ready()
    supervisor, left = portico.get().split()
    assert supervisor == "1"
    wait_until(lambda: portico.get(f"/?{left}") == "False", what="process 1 to take leave of the other")
    (first,) = portico.worker_pids
    os.kill(first, signal.SIGTERM)
    assert portico.wait() == 0, portico.log()
    assert "stopping after the requests in flight" in portico.log()


READING = """
def application(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


def status_of_body(portico: Portico, size: int) -> int:
    """The status of the response to a body of so many bytes."""
    with Connection(("127.0.0.1", portico.port)) as connection:
        return connection.request("/", method="POST", body=b"x" * size).status


@in_namespaces
@pytest.mark.parametrize(("folder", "status"), [("tmpfs", 200), ("none", 507)])
def test_on_a_read_only_root_bodies_need_a_folder(
    start: Start, tmp_path: Path, folder: str, status: int
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    read_only = "mount -o remount,bind,ro"
    script = f'{read_only} "$(stat -c %m {tmp_path})" && {read_only} / && '
    script += f"mount -t tmpfs tmpfs {room} && " if folder == "tmpfs" else ""
    script += 'exec "$@"'
    program = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-m", "portico"]
    portico = start(READING, program=program, environment={"TMPDIR": str(room)})
    portico.wait_ready()
    assert status_of_body(portico, 1_000) == 200
    assert status_of_body(portico, 300_000) == status
    assert ("cannot keep a request body in a temporary file" in portico.log()) == (status == 507)
    portico.stop()
