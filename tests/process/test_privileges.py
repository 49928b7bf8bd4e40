"""Workers give up what they need not have; the kernel's own files say whether they did."""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.everybodys_python import find_everybodys_python, import_path
from support.seccomp import without_landlock, without_setgroups
from support.server import free_port
from support.tls import Authority
from support.waiting import wait_until

from .conftest import Portico

PYTHON = find_everybodys_python()
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else"),
    pytest.mark.skipif(not PYTHON, reason="no Python here can be run by other users than root"),
]
USER = pwd.getpwnam("www-data")
NO_CAPABILITIES = "0" * 16
NET_BIND_SERVICE = 1 << 10

SHOP = """
import json, os, subprocess, sys
at_import = os.geteuid()

def try_to(path):
    try:
        if path.endswith("/"):
            os.mkdir(path)
        else:
            open(path, "a").close()
        return "fine"
    except OSError as error:
        return error.strerror

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    asked = environ["QUERY_STRING"]
    if asked.startswith("write="):
        found = try_to(asked[6:])
    elif asked == "child":
        found = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
    elif asked == "limits":
        found = open("/proc/self/limits").read()
    elif asked == "environment":
        found = dict(os.environ)
    elif asked == "import":
        found = at_import
    elif asked == "print":
        print("printed", file=open("/dev/stdout", "w"), flush=True)
        found = ""
    else:
        found = open("/proc/self/status").read()
    return [json.dumps(found).encode()]
"""

Start = Callable[..., Portico]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can enter, and only root can write to; pytest's own are root's alone."""
    made = Path(tempfile.mkdtemp(prefix="portico-"))
    made.chmod(0o755)
    (made / "shop.py").write_text(SHOP)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    started: list[Portico] = []

    def start_one(*options: str, environment: dict[str, str] | None = None, **others: Any) -> Portico:
        portico = Portico(
            folder,
            "shop",
            ("-w", "1", *options),
            port=free_port(),
            program=(PYTHON, "-m", "portico"),
            environment={"PYTHONPATH": import_path(), **(environment or {})},
            **others,
        )
        started.append(portico)
        return portico

    yield start_one
    for portico in started:
        portico.kill()


def run(folder: Path, command: str, *options: str, **others: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-m", "portico", command, "shop", "-b", "127.0.0.1:0", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": import_path(), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        **others,
    )


def ask(portico: Portico, what: str = "status") -> Any:
    return json.loads(portico.get(f"/?{what}"))


def fields(status: str) -> dict[str, list[str]]:
    """The lines of /proc/PID/status, each split into words."""
    return {name: value.split() for name, _, value in (line.partition(":") for line in status.splitlines())}


def status_of(portico: Portico, what: str = "status") -> dict[str, list[str]]:
    return fields(ask(portico, what))


def test_workers_become_the_user_and_the_supervisor_does_not(start: Start) -> None:
    portico = start("--user", "www-data")
    portico.wait_ready()
    status = status_of(portico)
    assert status["Uid"] == [str(USER.pw_uid)] * 4
    assert status["Gid"] == [str(USER.pw_gid)] * 4
    assert {*map(int, status["Groups"])} == {*os.getgrouplist("www-data", USER.pw_gid)}
    assert [status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [[NO_CAPABILITIES]] * 4
    assert status["NoNewPrivs"] == ["0"]
    assert ask(portico, "import") == USER.pw_uid
    supervisor = fields(Path(f"/proc/{portico.process.pid}/status").read_text())
    assert supervisor["Uid"] == ["0"] * 4
    portico.stop()


def test_the_admin_process_does_as_workers_do(start: Start) -> None:
    admin = free_port()
    portico = start("--user", "www-data", "--admin-bind", f"127.0.0.1:{admin}")
    portico.wait_ready()
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=10) as response:
        assert b"portico_workers" in response.read()
    (pid,) = [
        pid for pid in portico.worker_pids if Path(f"/proc/{pid}/comm").read_text() == "portico admin\n"
    ]
    status = fields(Path(f"/proc/{pid}/status").read_text())
    assert status["Uid"] == [str(USER.pw_uid)] * 4
    assert status["Gid"] == [str(USER.pw_gid)] * 4
    assert status["CapEff"] == status["CapPrm"] == [NO_CAPABILITIES]
    portico.stop()


def test_with_preload_template_and_workers_do(start: Start) -> None:
    portico = start("--user", "www-data", "--preload", "-w", "2")
    portico.wait_ready()
    pids = portico.worker_pids
    assert len(pids) == 3
    user = str(pwd.getpwnam("www-data").pw_uid)
    for pid in pids:
        assert fields(Path(f"/proc/{pid}/status").read_text())["Uid"] == [user] * 4
    # Each by its own name, although the template that has forked it was not root any more.
    assert sorted(
        (Path(f"/proc/{pid}/comm").read_text(), Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0"))
        for pid in pids
    ) == [
        ("portico preload\n", b"portico: template shop"),
        ("portico worker\n", b"portico: worker 1 shop"),
        ("portico worker\n", b"portico: worker 2 shop"),
    ]
    portico.stop()


def test_group_and_supplementary_groups_are_those_that_are_named(start: Start) -> None:
    portico = start("-u", "nobody", "-g", "www-data", "--groups", "games,audio")
    portico.wait_ready()
    status = status_of(portico)
    assert status["Gid"] == [str(USER.pw_gid)] * 4
    wanted = {grp.getgrnam(name).gr_gid for name in ("games", "audio")}
    assert {*map(int, status["Groups"])} == wanted


def test_a_user_may_be_a_number_that_nobody_has(start: Start) -> None:
    portico = start("-u", "54321", "-g", "54322", "--groups", "none")
    portico.wait_ready()
    status = status_of(portico)
    assert (status["Uid"][0], status["Gid"][0], status["Groups"]) == ("54321", "54322", [])


def test_home_is_the_users_unless_the_settings_say_otherwise(start: Start) -> None:
    portico = start("-u", "www-data", "-e", "LOGNAME=shop")
    portico.wait_ready()
    found = ask(portico, "environment")
    assert [found[name] for name in ("HOME", "USER", "LOGNAME")] == [USER.pw_dir, "www-data", "shop"]


def test_the_umask_is_that_of_all_files_that_are_made(start: Start, folder: Path) -> None:
    portico = start("--umask", "027", "-b", "unix:shop.sock", "--access-log", "access.log")
    portico.wait_ready()
    assert status_of(portico)["Umask"] == ["0027"]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*.[sl]o*")}
    assert (modes["access.log"], modes["shop.sock"]) == (0o640, 0o750)


def test_limits_hold_in_workers(start: Start) -> None:
    portico = start("--limit", "nofile=300:400,core=0", "--limit", "as=2G", "-u", "nobody")
    portico.wait_ready()
    limits = {line[:25].strip(): line[25:].split()[:2] for line in ask(portico, "limits").splitlines()}
    assert limits["Max open files"] == ["300", "400"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max address space"] == [str(2 << 30)] * 2


def test_listed_capabilities_are_kept_and_no_others_can_be_had(start: Start) -> None:
    portico = start("-u", "nobody", "--capabilities", "net_bind_service")
    portico.wait_ready()
    kept = f"{NET_BIND_SERVICE:016x}"
    status = status_of(portico)
    assert [status[name] for name in ("CapPrm", "CapEff", "CapBnd")] == [[kept]] * 3
    assert [status[name] for name in ("CapInh", "CapAmb")] == [[NO_CAPABILITIES]] * 2
    assert status_of(portico, "child")["CapEff"] == [NO_CAPABILITIES]


def test_root_can_be_left_without_capabilities(start: Start) -> None:
    portico = start("--capabilities", "none", "--no-new-privs")
    portico.wait_ready()
    status = status_of(portico, "child")
    assert (status["Uid"][0], status["CapEff"], status["CapBnd"]) == (
        "0",
        [NO_CAPABILITIES],
        [NO_CAPABILITIES],
    )
    assert status["NoNewPrivs"] == ["1"]


COUNTING = """
from portico.metrics import Counter
from prometheus_client import Counter as ClientCounter

mine, theirs = Counter("shop_mine", "Ours."), ClientCounter("shop_theirs", "Theirs.")

def application(environ, start_response):
    mine.inc()
    theirs.inc()
    start_response("200 OK", [])
    return [b"fine"]
"""


@pytest.mark.parametrize("options", [(), ("--read-only",)], ids=["", "read-only"])
def test_an_application_of_another_user_counts(start: Start, folder: Path, options: tuple[str, ...]) -> None:
    (folder / "shop.py").write_text(COUNTING)
    (folder / "tmp").mkdir()
    admin = free_port()
    portico = start(
        *("--user", "www-data", "--admin-bind", f"127.0.0.1:{admin}", *options),
        environment={"TMPDIR": str(folder / "tmp")},
    )
    portico.wait_ready()
    portico.wait_for("metrics are at")
    assert portico.get() == "fine"

    def found() -> list[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=10) as response:
            return [line for line in response.read().decode().splitlines() if line.startswith("shop_")]

    wait_until(lambda: found() == ["shop_mine_total 1.0", "shop_theirs_total 1.0"], what="both, not found()")
    portico.stop()


def test_only_listed_places_can_be_written(start: Start, folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "one.txt").touch()
    (folder / "tmp").mkdir()
    portico = start(
        *("--read-only", "--writable", "data", "--writable", "one.txt"),
        environment={"TMPDIR": str(folder / "tmp")},
    )
    portico.wait_ready()
    written = {
        path: ask(portico, f"write={folder}/{path}")
        for path in ("data/a.txt", "data/made/", "tmp/a.txt", "one.txt", "two.txt", "made/")
    }
    assert written == {
        "data/a.txt": "fine",
        "data/made/": "fine",
        "tmp/a.txt": "fine",
        "one.txt": "fine",
        "two.txt": "Permission denied",
        "made/": "Permission denied",
    }
    assert ask(portico, "write=/dev/null") == "fine"
    assert status_of(portico)["NoNewPrivs"] == ["1"]


def test_bodies_are_spooled_although_nothing_can_be_written(start: Start, folder: Path) -> None:
    portico = start("--read-only", "--body-memory", "0", "-u", "nobody")
    portico.wait_ready()
    with portico.connect() as connection:
        head = "POST /?status HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n"
        connection.sendall(head.encode() + b"a" * 200_000)
        received = connection.makefile("rb").read()
    assert received.startswith(b"HTTP/1.1 200 ")


def test_logs_are_opened_for_the_worker_and_again_after_a_rotation(start: Start, folder: Path) -> None:
    # Neither the folder nor a file in it is the user's.
    (folder / "log").mkdir(mode=0o700)
    access, error = folder / "log/access.log", folder / "log/error.log"
    portico = start("-u", "nobody", "--access-log", str(access), "--error-log", str(error))
    wait_until(lambda: error.exists() and "ready in" in error.read_text(), what="the start")
    portico.get("/?first")
    wait_until(lambda: "/?first" in access.read_text(), what="a line")
    access.rename(folder / "log/access.log.1")
    error.rename(folder / "log/error.log.1")
    portico.signal(signal.SIGHUP)
    wait_until(lambda: error.exists() and "is ready after" in error.read_text(), what="the reload")
    portico.get("/?second")
    wait_until(lambda: access.exists() and "/?second" in access.read_text(), what="a line in the new file")
    assert status_of(portico)["Uid"][0] == str(pwd.getpwnam("nobody").pw_uid)
    portico.stop()


def test_a_reload_may_change_the_user_and_bind_what_only_root_can(start: Start, folder: Path) -> None:
    port, low = free_port(), low_port()

    def write(user: str, *more: str) -> None:
        (folder / "portico.toml").write_text(
            f'[[app]]\napp = "shop"\n[listening]\nbind = {[f"127.0.0.1:{port}", *more]}\n'
            f'[processes]\nworkers = 1\n[privileges]\nuser = "{user}"\n'
            'limits = { nofile = 500, core = "0:unlimited" }\ncapabilities = ["none"]\n'
        )

    write("nobody")
    portico = start(reads_file=True)
    portico.port = port
    portico.wait_ready()
    write("www-data", f"127.0.0.1:{low}")
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    # The worker of before may take some more connections.
    wait_until(lambda: status_of(portico)["Uid"][0] == str(USER.pw_uid), what="the worker of the new user")
    with socket.create_connection(("127.0.0.1", low), timeout=10):
        pass
    portico.stop()


def low_port() -> int:
    """A port that only root can listen on, and nobody does."""
    for port in range(1023, 900, -1):
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port below 1024 is free")


def test_a_worker_of_another_user_is_ended_and_its_stacks_are_had(start: Start, folder: Path) -> None:
    portico = start("-u", "nobody", "-w", "2")
    portico.wait_ready()
    pids = portico.worker_pids
    os.kill(pids[0], signal.SIGKILL)
    portico.wait_for("is ready after")
    portico.signal(signal.SIGINT)
    assert portico.wait() == 0, portico.log()


def test_a_standard_output_that_is_a_pipe_can_be_opened_by_its_name(start: Start) -> None:
    read_fd, write_fd = os.pipe()
    portico = start("-u", "nobody", stdout=write_fd)
    os.close(write_fd)
    portico.wait_ready()
    ask(portico, "print")
    with open(read_fd, encoding="utf-8") as printed:
        assert printed.readline() == "printed\n"


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        pytest.param(["-u", "nobdy"], '--user on the command line: there is no user "nobdy"', id="user"),
        pytest.param(["-g", "shp"], '--group on the command line: there is no group "shp"', id="group"),
        pytest.param(
            ["-u", "nobody", "--groups", "games,shp"],
            '--groups on the command line: there is no group "shp"',
            id="groups",
        ),
        pytest.param(["-u", "54321"], "no user has the number 54321", id="number"),
        pytest.param(["--limit", "files=3"], "--limit on the command line: expected", id="limit"),
        pytest.param(["--limit", "nofile=9:3"], "--limit on the command line: expected", id="order"),
        pytest.param(["--umask", "999"], "--umask on the command line: expected permissions", id="umask"),
        pytest.param(
            ["--capabilities", "cap_all"], "expected a capability such as net_bind_service", id="capability"
        ),
        pytest.param(
            ["--read-only", "--writable", "absent"], "--writable on the command line: there is no", id="place"
        ),
    ],
)
def test_what_cannot_be_is_said(folder: Path, command: str, options: list[str], sentence: str) -> None:
    ended = run(folder, command, *options)
    assert (ended.returncode, sentence in ended.stderr) == (2, True), ended.stderr


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_container_without_setgroups_is_named(folder: Path, command: str) -> None:
    ended = run(folder, command, "-u", "nobody", preexec_fn=without_setgroups())
    assert ended.returncode == 2
    assert "--user on the command line: cannot change the supplementary groups: this " in ended.stderr
    assert "CAP_SETGID" in ended.stderr


@pytest.mark.parametrize("command", ["run", "check"])
def test_only_root_can(folder: Path, command: str) -> None:
    ended = run(folder, command, "-u", "www-data", user="nobody", group="nogroup", extra_groups=[])
    assert ended.returncode == 2
    assert "--user on the command line: cannot " in ended.stderr
    assert "only root can, and portico runs as the user 65534" in ended.stderr


def test_who_it_is_already_needs_no_root(folder: Path) -> None:
    ended = run(folder, "check", "-u", "nobody", user="nobody", group="nogroup", extra_groups=[])
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_folder_that_the_user_cannot_enter_is_named(folder: Path) -> None:
    folder.chmod(0o700)
    ended = run(folder, "check", "-u", "nobody")
    assert ended.returncode == 2
    assert f'the user nobody cannot enter "{folder}", and the application works in' in ended.stderr


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("options", "reader"),
    [
        pytest.param(["-u", "nobody"], "the user nobody", id="user"),
        pytest.param(["-u", "54321", "-g", "54322", "--groups", "none"], "the user 54321", id="number"),
        pytest.param(["--capabilities", "none"], "the user 0", id="root without capabilities"),
    ],
)
@pytest.mark.parametrize("is_hidden", [False, True], ids=["page", "folder"])
def test_an_error_page_that_the_user_cannot_read_is_named(
    folder: Path, command: str, options: list[str], reader: str, *, is_hidden: bool
) -> None:
    page_of_somebody(folder, 0o644 if is_hidden else 0o600, 0o700 if is_hidden else 0o755)
    ended = run(folder, command, *options, "--error-page", "503=errors/503.html")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == (
        "portico: --error-page on the command line: error_pages: expected a file for 503 that "
        f'{reader} can read, got "errors/503.html": Permission denied'
    )


def page_of_somebody(folder: Path, mode: int, folder_mode: int) -> Path:
    page = folder / "errors" / "503.html"
    page.parent.mkdir()
    page.write_text("<p>away")
    for path, its_mode in ((page, mode), (page.parent, folder_mode)):
        path.chmod(its_mode)
        os.chown(path, USER.pw_uid, USER.pw_gid)
    return page


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_key_that_the_user_cannot_read_is_named(folder: Path, command: str) -> None:
    certificate = Authority(folder).certify("portico")
    key = folder / "own.key"
    key.write_bytes(certificate.read_bytes())
    key.chmod(0o600)
    (folder / "portico.toml").write_text(
        f'[[upstream]]\nto = "https://a"\nclient_certificate = "{certificate}"\nclient_key = "own.key"\n'
    )
    ended = run(folder, command, "-u", "nobody")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == (
        "portico: portico.toml:1:1: client_key: expected a file that the user nobody can read, got "
        f'"{folder}/own.key": Permission denied'
    )


def test_an_error_page_of_a_row_that_the_user_cannot_read_is_not_taken_by_a_reload(
    start: Start, folder: Path
) -> None:
    port = free_port()
    text = (
        f'[listening]\nbind = ["127.0.0.1:{port}"]\n[processes]\nworkers = 1\n[privileges]\n'
        'user = "nobody"\n[[app]]\napp = "shop"\n'
    )
    row = '[[upstream]]\nto = "http://127.0.0.1:1"\nmount = "/a"\nerror_pages = { 503 = "errors/503.html" }\n'
    (folder / "portico.toml").write_text(text)
    page = page_of_somebody(folder, 0o600, 0o755)
    portico = start(reads_file=True)
    portico.port = port
    portico.wait_ready()
    (folder / "portico.toml").write_text(text + row)
    portico.signal(signal.SIGHUP)
    portico.wait_for("the configuration was not taken, all stays as it is:")
    assert (
        "portico.toml:9:1: error_pages: expected a file for 503 that the user nobody can read, got "
        '"errors/503.html": Permission denied'
    ) in portico.log()
    page.chmod(0o644)
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    assert status_of(portico)["Uid"][0] == str(pwd.getpwnam("nobody").pw_uid)
    portico.stop()


def test_check_loads_the_application_as_the_user(folder: Path) -> None:
    (folder / "shop.py").write_text("import os\nassert os.getuid() == 33\ndef application(e, s): ...\n")
    ended = run(folder, "check", "-u", "www-data")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_kernel_without_landlock_is_not_enough(folder: Path) -> None:
    ended = run(folder, "run", "--read-only", preexec_fn=without_landlock())
    assert ended.returncode == 2
    assert "--read-only on the command line: this kernel has no Landlock" in ended.stderr


def test_unless_that_is_to_be_tried_only(start: Start, folder: Path) -> None:
    portico = start("--read-only", "--landlock", "try", before_exec=without_landlock())
    portico.wait_ready()
    assert "the workers may write wherever their user may" in portico.log()
    assert ask(portico, f"write={folder}/two.txt") == "fine"


def test_root_is_not_warned_where_workers_are_somebody_else(start: Start) -> None:
    portico = start("-u", "nobody", "-b", "0.0.0.0:0")
    portico.wait_ready()
    assert "as root" not in portico.log()


LOGGING = """
[logconfig.handlers.records]
class = "logging.FileHandler"
filename = "records"
[logconfig.root]
level = "INFO"
handlers = ["records"]
"""


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["forked", "preloaded"])
def test_the_thread_of_logging_keeps_nothing_and_its_files_are_open(
    start: Start, folder: Path, options: tuple[str, ...]
) -> None:
    (folder / "portico.toml").write_text(LOGGING)
    (folder / "shop.py").write_text("def application(environ, start_response):\n    raise KeyError(7)\n")
    portico = start("--user", USER.pw_name, "--no-new-privs", *options)
    records = folder / "records"

    def has(text: str) -> bool:
        return records.exists() and text in records.read_text()

    wait_until(lambda: has("ready in "), what="the start")
    with portico.ask():
        wait_until(lambda: has("failed\nTraceback"), what="the record of a failure")
    # After the log process, and the template.
    worker = portico.worker_pids[-1]
    threads = [(task / "status").read_text() for task in Path(f"/proc/{worker}/task").iterdir()]
    # Its own, the watchdog, that of logging.
    assert len(threads) >= 3
    for status in threads:
        assert f"Uid:\t{USER.pw_uid}\t{USER.pw_uid}" in status
        assert f"CapPrm:\t{NO_CAPABILITIES}" in status
        assert "NoNewPrivs:\t1" in status
    portico.stop()
