"""A start where the machine lacks something: it goes on without, or ends with a sentence and an exit code."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.seccomp import without_ipv6, without_memfd
from support.waiting import wait_until

from .conftest import Start

HELLO = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
"""
WITHOUT_FOLDERS = [
    *("unshare", "--mount", "sh", "-c"),
    'for folder in /tmp /var/tmp /dev/shm; do mount -t tmpfs -o ro none $folder; done; cd /proc; exec "$@"',
    "sh",
]


def run(*arguments: str, before_exec: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portico", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        preexec_fn=before_exec,
    )


@pytest.mark.parametrize(
    "bind", ["[::]:8000", "[::1]:0", "uwsgi://[::1]:3031", "http://[::]:8000?proxy=required"]
)
def test_without_ipv6_the_bind_is_named(bind: str) -> None:
    options = ("--proxy-allow-from", "*", "--uwsgi-allow-from", "*")
    ended = run("run", "shop", "-b", bind, *options, before_exec=without_ipv6())
    assert ended.returncode == 4
    assert ended.stderr.startswith(f"portico: cannot listen on {bind}: ") or "[::" in ended.stderr
    assert ended.stderr.endswith("this machine has no IPv6; choose an address of IPv4 with --bind\n")
    assert ended.stderr.count("\n") == 1


def test_without_ipv6_localhost_is_served(start: Start) -> None:
    portico = start(HELLO, before_exec=without_ipv6())
    portico.wait_ready()
    assert portico.get() == "hello"
    portico.stop()


def test_goes_on_without_a_file_in_memory(start: Start) -> None:
    portico = start(HELLO, before_exec=without_memfd())
    portico.wait_ready()
    assert portico.get() == "hello"
    portico.stop()


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None, reason="takes root and unshare (util-linux)"
)
@pytest.mark.parametrize("size", [0, 100_000], ids=["usual", "long"])
def test_without_a_file_in_memory_and_a_folder_for_others(tmp_path: Path, size: int) -> None:
    ended = subprocess.run(
        [
            *(*WITHOUT_FOLDERS, sys.executable, "-m", "portico", "run", "nothing_of_that_name"),
            *("-b", "127.0.0.1:0", "-e", "X=" + "x" * size),
        ],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        preexec_fn=without_memfd(),
    )
    if size:
        assert ended.returncode == 2
        assert (
            "portico: cannot hand on the settings to the supervisor: there is no memory file" in ended.stderr
        )
    else:
        assert ended.returncode == 3, ended.stderr
        assert "cannot load nothing_of_that_name: no module named" in ended.stderr


def leave(folder: Path) -> Callable[[], None]:
    """What a child does to be in a folder that is not there any more."""

    def remove() -> None:
        folder.mkdir()
        os.chdir(folder)
        folder.rmdir()

    return remove


@pytest.mark.parametrize(
    ("options", "beginning"),
    [
        ((), "portico runs in the working directory, which is not there any more"),
        (
            ("--chdir", "site"),
            '--chdir on the command line: "site" starts from the working directory, which is not there any '
            "more",
        ),
    ],
    ids=["none", "relative"],
)
@pytest.mark.parametrize("command", [("run",), ("generate", "systemd")], ids=["run", "generate"])
@pytest.mark.parametrize("has_come_back", [False, True], ids=["gone", "made anew"])
def test_says_that_its_working_directory_is_gone(
    tmp_path: Path,
    options: tuple[str, ...],
    beginning: str,
    command: tuple[str, ...],
    has_come_back: bool,
) -> None:
    folder = tmp_path / "gone"
    remove = leave(folder)

    def before_exec() -> None:
        remove()
        os.environ["PWD"] = str(folder)
        if has_come_back:
            folder.mkdir()

    ended = run(*command, "shop", "-b", "127.0.0.1:8000", *options, before_exec=before_exec)
    assert ended.returncode == 2
    assert ended.stderr == (
        f"portico: {beginning} (No such file or directory); change to one that is, or name an absolute one "
        "by --chdir\n"
    )


def test_an_absolute_directory_is_served_from_one_that_is_gone(start: Start, tmp_path: Path) -> None:
    portico = start(HELLO, "--chdir", str(tmp_path), before_exec=leave(tmp_path / "gone"))
    portico.wait_ready()
    assert portico.get() == "hello"
    portico.stop()


def test_a_reload_says_that_the_directory_is_gone(start: Start, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "main.py").write_text(HELLO)
    portico = start("", "--chdir", "site", application="main")
    portico.wait_ready()
    shutil.rmtree(tmp_path / "site")
    portico.signal(signal.SIGHUP)
    portico.wait_for("the configuration was not taken, all stays as it is:")
    portico.wait_for("expected a directory, got")
    assert portico.get() == "hello"
    portico.stop()


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("setpriv") is None, reason="takes root and setpriv")
def test_says_that_a_directory_cannot_be_read(start: Start, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir(mode=0o311)
    user = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    portico = start("", "--chdir", str(tmp_path / "site"), program=[*user, sys.executable, "-m", "portico"])
    assert portico.wait() == 3
    assert (
        f"no module named shop in {tmp_path}/site, which this user may not read, or installed"
        in portico.log()
    )


@pytest.mark.parametrize("limit", [8, 12, 16])
def test_says_that_there_are_too_few_descriptors(limit: int) -> None:
    ended = run(
        *("run", "shop", "-b", "127.0.0.1:0"),
        before_exec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
    )
    assert ended.returncode == 2
    assert ended.stderr == (
        f"portico: a process may only have {limit} descriptors, but to serve takes at least 17: raise the "
        "limit (ulimit -n, or LimitNOFILE= of systemd)\n"
    )


def test_serves_with_few_descriptors(start: Start) -> None:
    portico = start(
        HELLO, "-w", "1", before_exec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
    )
    portico.wait_ready()
    wait_until(lambda: portico.get() == "hello", what="a response")
    portico.stop()


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None, reason="takes root and unshare (util-linux)"
)
@pytest.mark.parametrize("folders", ["/proc", "/dev/shm", "/proc /dev /var/tmp"])
def test_serves_without_folders_of_the_system(start: Start, tmp_path: Path, folders: str) -> None:
    hide = f'for folder in {folders}; do mount -t tmpfs -o ro none $folder; done; exec "$@"'
    program = ["unshare", "--mount", "sh", "-c", hide, "sh", sys.executable, "-m", "portico"]
    portico = start(HELLO, program=program)
    portico.wait_ready()
    assert portico.get() == "hello"
    portico.stop()


def test_serves_without_home_and_other_variables(start: Start, tmp_path: Path) -> None:
    kept = [f"{name}={os.environ[name]}" for name in ("PYTHONPATH",) if name in os.environ]
    portico = start(HELLO, program=["env", "-i", *kept, sys.executable, "-m", "portico"])
    portico.wait_ready()
    assert portico.get() == "hello"
    portico.stop()


def test_says_why_no_worker_can_be_forked_and_serves_on(start: Start) -> None:
    portico = start(HELLO, "-w", "2")
    portico.wait_ready()
    os.kill(portico.worker_pids[0], signal.SIGKILL)
    # By then it has read what it may need later.
    portico.wait_for("is ready after")
    pid = portico.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    os.kill(portico.worker_pids[0], signal.SIGKILL)
    portico.wait_for("cannot fork a worker: Too many open files; ")
    assert portico.get() == "hello"
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    portico.wait_for("is ready after", times=2)
    portico.stop()
