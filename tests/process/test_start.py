"""A start: the banner, or one sentence and an exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import portico as installed
import pytest
from portico.config.check import warnings
from portico.config.sources import resolve
from support.waiting import wait_until
from support.ways import of_the_default

from .conftest import Start

HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""


@of_the_default
def test_says_where_what_and_with_how_many(start: Start) -> None:
    portico = start(HELLO, "-w", "2", "--threads", "3")
    portico.wait_ready()
    log = portico.log()
    assert "serves shop:application\n" in log
    assert f"  on http://127.0.0.1:{portico.port}\n" in log
    assert "  with 2 workers x 3 threads (--workers on the command line)\n" in log
    assert f" s, pid {portico.process.pid}\n" in log
    assert portico.get() == "hello"


LINKING = """
import os
def application(environ, start_response):
    start_response("200 OK", [])
    return [os.environ.get("LD_BIND_NOW", "no").encode()]
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_functions_of_libraries_are_found_before_the_fork(start: Start) -> None:
    portico = start(LINKING, "-w", "1")
    portico.wait_ready()
    variables = Path(f"/proc/{portico.process.pid}/environ").read_bytes().split(b"\0")
    assert b"LD_BIND_NOW=1" in variables
    assert portico.get() == "no"


def test_how_functions_are_found_can_be_said(start: Start) -> None:
    portico = start(LINKING, "-w", "1", environment={"LD_BIND_NOW": "yes"})
    portico.wait_ready()
    assert portico.get() == "yes"


@of_the_default
def test_keeps_the_command_line_out_of_the_supervised_processes(start: Start) -> None:
    source = """
import sys
before = sorted(sys.modules)
def application(environ, start_response):
    start_response("200 OK", [])
    return [" ".join(before).encode()]
"""
    portico = start(source)
    portico.wait_ready()
    loaded = set(portico.get().split())
    assert not loaded & {
        "click",
        "tomllib",
        "typing",
        "logging",
        "dataclasses",
        "json",
        "socket",
        "subprocess",
    }
    assert not loaded & {
        "portico.cli",
        "portico.config.sources",
        "portico.process.sockets",
        "portico.process.inherited",
    }


COMMAND_LINE = """
import gc, os, sys
gc.collect()
gc.callbacks.append(lambda phase, details: os.write(2, phase.encode()))
before = set(sys.modules)
def execve(*arguments):
    os.write(1, " ".join(set(sys.modules) - before).encode())
    os._exit(0)
os.execve = execve
from portico.cli import main
main()
"""


def test_a_usual_start_imports_nothing_that_it_has_no_need_of(tmp_path: Path) -> None:
    """No parser of options or of TOML, nor what these load, nor the engine: a start is mostly imports."""
    (tmp_path / "shop.py").write_text(HELLO)
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["portico-server"]\n')
    # -S: without what packages that are installed here import in each interpreter.
    command = [sys.executable, "-S", "-c", COMMAND_LINE, "run", "shop", "-b", "127.0.0.1:0", "-w", "2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(installed.__file__).parents[1])}
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    # One before it is known which command it is.
    assert found.stderr.count(b"start") <= 1
    loaded = found.stdout.decode().split()
    others = {name for name in loaded if not name.startswith("portico")}
    assert others <= {"__future__", "_socket", "errno", "itertools", "resource"}
    ours = {name for name in loaded if name.startswith("portico")}
    unwanted = ("_core", "commands", "config.file", "config.finding", "config.routes", "process.inherited")
    assert not ours & {f"portico.{name}" for name in unwanted}
    assert len(ours) <= 63


def test_an_interrupted_start_is_one_word(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "portico.toml")
    command = [sys.executable, "-m", "portico", "run", "shop"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    # Opens once it reads there.
    with open(tmp_path / "portico.toml", "w"):
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == (None, "\nAborted!\n")
    assert process.returncode == 1


def test_gives_the_application_its_directory_paths_variables_and_arguments(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "library").mkdir()
    (tmp_path / "site" / "library" / "part.py").write_text("name = 'part'\n")
    (tmp_path / "site" / "main.py").write_text("""
import os, sys, part
def application(environ, start_response):
    start_response("200 OK", [])
    return ["|".join([os.getcwd(), part.name, os.environ["NAME"], sys.argv[-1]]).encode()]
""")
    portico = start(
        "", "--chdir", "site", "--pythonpath", "library", "-e", "NAME=a=b c", application="main:application"
    )
    portico.wait_ready()
    assert portico.get() == f"{tmp_path / 'site'}|part|a=b c|NAME=a=b c"


@pytest.mark.parametrize(
    ("source", "application", "sentence"),
    [
        (HELLO, "shop:app", "cannot load shop:app: module shop has no `app`; it has `application`"),
        (HELLO, "shpo", "cannot load shpo: no module named shpo in"),
        (
            "import nothing_of_that_name",
            "shop",
            'cannot load shop:\nTraceback (most recent call last):\n  File "{folder}/shop.py", line 1, in '
            "<module>\n",
        ),
        ("def broken(:", "shop", 'cannot load shop:\n  File "{folder}/shop.py", line 1\n'),
        ("raise SystemExit(7)", "shop", "SystemExit: 7"),
        (
            "import os; os._exit(5)",
            "shop",
            "cannot load shop: the worker ended with status 5 while it loaded the application",
        ),
        (
            "import os; os.kill(os.getpid(), 11)",
            "shop",
            "cannot load shop: the worker was killed by SIGSEGV while it loaded the application",
        ),
    ],
    ids=["attribute", "module", "import inside", "syntax", "exit", "sudden end", "crash"],
)
def test_ends_with_status_3_when_the_application_cannot_be_loaded(
    start: Start, source: str, application: str, sentence: str
) -> None:
    portico = start(source, "-w", "2", application=application)
    assert portico.wait() == 3
    log = portico.log()
    assert sentence.format(folder=portico.folder) in log
    assert log.count("cannot load") == 1
    # Our own frames say nothing to the user; faulthandler, after a crash, cannot leave them out.
    assert "app_loader" not in log or "Fatal Python error" in log


def test_ends_with_status_4_when_the_port_is_taken(start: Start) -> None:
    first = start(HELLO)
    first.wait_ready()
    second = start(HELLO, port=first.port)
    assert second.wait() == 4
    assert f"the port is in use by process {first.process.pid} (portico: supervisor shop)" in second.log()


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portico", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run"], "portico: no application was given"),
        (["run", "shop", "--thread", "3"], "Did you mean '--threads'?"),
        (
            ["run", "shop", "-w", "few"],
            "--workers on the command line: expected a whole number from 1 to 512, or auto",
        ),
        (["shop"], "Did you mean `portico run shop`?"),
        (["rnu"], "Did you mean `portico run`?"),
    ],
)
def test_ends_with_status_2_and_a_hint_for_a_wrong_command(arguments: list[str], sentence: str) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert sentence in ended.stderr


def test_names_the_variable_with_a_bad_value() -> None:
    ended = run("run", "shop", PORTICO_THREADS="many")
    assert ended.stderr == (
        'portico: PORTICO_THREADS in the environment: expected a whole number from 1 to 1024, got "many"\n'
    )


def test_shows_its_version_and_help() -> None:
    from portico import __version__

    assert run("--version").stdout == f"portico {__version__}\n"
    help_text = run("run", "--help").stdout
    assert all(
        f"PORTICO_{name}" in help_text for name in ("BIND", "THREADS", "MAX_REQUEST_BODY", "LOG_LEVEL")
    )


def test_run_need_not_be_said(start: Start) -> None:
    without_run = ("sh", "-c", 'shift; exec "$0" -m portico "$@"', sys.executable)
    portico = start(HELLO, program=without_run, application="shop:application")
    portico.wait_ready()
    assert portico.get() == "hello"


def test_serves_with_the_options_of_gunicorn_and_one_note_for_its_variable(start: Start) -> None:
    portico = start(
        HELLO,
        *("-k", "sync", "--access-logfile", "access.log", "--log-level", "warn"),
        environment={"GUNICORN_CMD_ARGS": "--threads 3 -w 2 --worker-connections 50", "WEB_CONCURRENCY": "4"},
    )
    wait_until(lambda: (portico.folder / "access.log").exists(), what="the access log")
    wait_until(lambda: len(portico.worker_pids) == 2, what="two workers")
    assert portico.get() == "hello"
    assert portico.log().count("GUNICORN_CMD_ARGS") == 1
    assert (
        "portico: GUNICORN_CMD_ARGS in the environment is understood; PORTICO_WORKERS PORTICO_THREADS "
        "PORTICO_MAX_CONNECTIONS would say the same\n"
    ) in portico.log()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("-D", "-D of gunicorn: run it under systemd: `portico generate systemd` prints the units"),
        ("--workers", "Option '--workers' requires an argument."),
        ("--help", "No such option '--help'."),
        ("--help-all", "No such option '--help-all'."),
        ("-c gunicorn.conf.py", "-c is not read from here; PORTICO_CONFIG names a configuration file"),
        ("-e 'A=1", 'expected words of a command line, got "-e \'A=1", which is not closed'),
    ],
)
def test_names_the_variable_of_gunicorn_where_it_is_wrong(value: str, sentence: str) -> None:
    ended = run("run", "shop", GUNICORN_CMD_ARGS=value)
    assert (ended.returncode, ended.stderr) == (
        2,
        f"portico: GUNICORN_CMD_ARGS in the environment: {sentence}\n",
    )


def test_says_what_every_option_of_another_server_is_here() -> None:
    ended = run("run", "shop", "-D", "--master", "--expose-tracebacks")
    assert ended.returncode == 2
    assert ended.stderr == (
        "portico: -D of gunicorn: run it under systemd: `portico generate systemd` prints the units\n"
        "--master of uWSGI: not needed: there always is a supervisor, and no worker outlives it\n"
        "--expose-tracebacks of waitress: use `portico dev`, which shows tracebacks in the browser\n"
    )


def test_names_the_option_that_was_written() -> None:
    ended = run("run", "shop", "--limit-request-line", "0")
    assert ended.stderr == (
        "portico: --limit-request-line on the command line: expected a size in bytes of at least 64, "
        'such as 64K, 10M or 1G, got "0"\n'
    )


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="runs as root only")


@AS_ROOT
@pytest.mark.parametrize(
    ("addresses", "is_warned"),
    [
        (["127.0.0.1:0", "127.0.0.9:0", "localhost:0", "[::1]:0", "unix:a.sock", "unix:@a", "fd://3"], False),
        (["127.0.0.1:0", "0.0.0.0:0"], True),
        (["[::]:0"], True),
        (["[::1:2]:0"], True),
        (["192.0.2.1:0"], True),
        (["uwsgi://192.0.2.1:0"], True),
        (["shop.example:0"], True),
    ],
)
def test_root_is_warned_where_other_machines_reach_it(addresses: list[str], is_warned: bool) -> None:
    assert bool(warnings(resolve({"bind": addresses}, {}))) == is_warned


@AS_ROOT
@pytest.mark.parametrize(("address", "count"), [("0.0.0.0:0", 1), ("127.0.0.1:0", 0)])
def test_a_check_tells_root_too(tmp_path: Path, address: str, count: int) -> None:
    (tmp_path / "shop.py").write_text(HELLO)
    ended = run("check", "shop", "-b", address, "--chdir", str(tmp_path))
    assert (ended.returncode, ended.stderr.count("portico: portico runs as root, and")) == (0, count)


@AS_ROOT
def test_the_docs_say_what_root_is_warned() -> None:
    page = (Path(__file__).parents[2] / "docs/deploy.md").read_text("utf-8")
    [warning] = warnings(resolve({"bind": ["0.0.0.0:0"]}, {}))
    assert f"    portico: {warning}\n" in page


@AS_ROOT
def test_warns_of_an_application_that_runs_as_root(start: Start) -> None:
    portico = start(HELLO, "-b", "0.0.0.0:0")
    portico.wait_ready()
    assert portico.log().startswith(
        "portico: portico runs as root, and the application with it: start it as a user"
    )
    assert portico.log().count("as root") == 1


def test_does_not_where_only_this_machine_reaches_it(start: Start) -> None:
    portico = start(HELLO, "-b", "localhost:0", "-b", "[::1]:0")
    portico.wait_ready()
    assert "as root" not in portico.log()


def test_the_supervisor_is_not_started_by_hand() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "portico.process"], capture_output=True, text=True, timeout=20, check=False
    )
    assert (ended.returncode, ended.stderr) == (
        2,
        "portico: portico.process is the supervisor, which the command line starts: "
        "`python -m portico run APP`\n",
    )


@pytest.mark.parametrize(
    ("path", "hint"), [("lib", ""), ("a,b", "; each directory has an option of its own")]
)
def test_asks_for_a_directory_to_import_from(path: str, hint: str) -> None:
    ended = run("run", "shop", "--pythonpath", path)
    assert ended.returncode == 2
    assert ended.stderr == (
        f'portico: --pythonpath on the command line: expected a directory, got "{path}", '
        f"which is not there{hint}\n"
    )


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/run/shop.sock", "expected unix: before the path of a Unix socket, as in unix:/run/shop.sock"),
        ("*:8000", "expected :8000 for all of IPv4, or [::]:8000 for IPv6 as well"),
    ],
)
def test_names_the_address_that_was_meant(address: str, sentence: str) -> None:
    ended = run("run", "shop", "-b", address)
    assert (ended.returncode, ended.stderr) == (
        2,
        f'portico: --bind on the command line: {sentence}, got "{address}"\n',
    )


@of_the_default
def test_serves_the_application_of_the_readme_as_it_says(start: Start, tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    source = readme.partition("```python\n")[2].partition("```")[0]
    shown = readme.partition("$ portico run hello\n")[2].partition("```")[0]
    (tmp_path / "hello.py").write_text(source)
    portico = start("", "-w", "2", application="hello")
    portico.wait_ready()
    assert portico.get() == "Hello, World!\n"

    def without_figures(text: str) -> str:
        return re.sub(r"\([^)]*\)|\d+", "N", text)

    assert without_figures(portico.log()) == without_figures(shown)
