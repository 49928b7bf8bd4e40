"""Hooks are called where and when it is said, told what is said, and end nothing, whatever they do."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from support.waiting import wait_until

from .conftest import Portico, Start

SHOP = """
import os, time
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/slow":
        time.sleep(60)
    return [str(os.getpid()).encode()]
"""
# Each hook writes a line: its name, its process, and what it was told.
TELLS = """
import json, os

def _plain(value):
    return {name: getattr(value, name) for name in value.__slots__}

def _tell(name, *arguments):
    line = [name, os.getpid(), *map(_plain, arguments)]
    with open("written.txt", "a") as file:
        file.write(json.dumps(line) + "\\n")

def on_start(server): _tell("on_start", server)
def pre_fork(server, worker): _tell("pre_fork", server, worker)
def post_fork(server, worker): _tell("post_fork", server, worker)
def worker_ready(server, worker): _tell("worker_ready", server, worker)
def worker_exit(server, worker): _tell("worker_exit", server, worker)
def request_timeout(server, worker, request): _tell("request_timeout", server, worker, request)
def on_reload(server): _tell("on_reload", server)
def on_exit(server): _tell("on_exit", server)
"""


@pytest.fixture
def hooked(start: Start, tmp_path: Path) -> Any:
    def start_with(hooks: str, *options: str, source: str = SHOP) -> Portico:
        (tmp_path / "shop_hooks.py").write_text(hooks)
        return start(source, "-w", "1", "--hooks", "shop_hooks", *options)

    return start_with


def written(folder: Path) -> list[list[Any]]:
    try:
        return [json.loads(line) for line in (folder / "written.txt").read_text().splitlines()]
    except FileNotFoundError:
        return []


def names(folder: Path) -> list[str]:
    return [name for name, *_ in written(folder)]


def one(folder: Path, name: str) -> list[Any]:
    """What the hook `name` has written, once it has."""
    wait_until(lambda: name in names(folder), what=f"the hook {name}")
    return next(line for line in written(folder) if line[0] == name)


def test_each_is_called_in_its_place(hooked: Any, tmp_path: Path) -> None:
    portico = hooked(TELLS)
    portico.wait_ready()
    (pid,) = portico.worker_pids
    assert names(tmp_path) == ["on_start", "pre_fork", "post_fork", "worker_ready"]
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    one(tmp_path, "worker_exit")
    portico.stop()
    assert sorted(names(tmp_path)) == sorted(
        [
            *("on_start", "pre_fork", "post_fork", "worker_ready", "worker_exit"),
            *("on_reload", "pre_fork", "post_fork", "worker_ready", "worker_exit", "on_exit"),
        ]
    )
    assert names(tmp_path)[-1] == "on_exit"
    server = {
        "name": "shop",
        "pid": portico.process.pid,
        "addresses": [f"http://127.0.0.1:{portico.port}"],
        "workers": 1,
        "generation": 0,
    }
    worker = {"number": 1, "pid": pid, "exit_code": None, "was_expected": False}
    assert written(tmp_path)[1][2:] == [server, {**worker, "pid": 0}]
    assert written(tmp_path)[3] == ["worker_ready", pid, server, worker]
    reloaded = {**server, "generation": 1}
    assert one(tmp_path, "on_reload")[2] == reloaded
    assert one(tmp_path, "worker_exit")[2:] == [reloaded, {**worker, "exit_code": 0, "was_expected": True}]


def test_those_of_the_supervisor_run_in_other_processes(hooked: Any, tmp_path: Path) -> None:
    portico = hooked(TELLS)
    portico.wait_ready()
    supervisor, (worker,) = portico.process.pid, portico.worker_pids
    by = {name: pid for name, pid, *_ in written(tmp_path)}
    assert by["post_fork"] == by["worker_ready"] == worker
    assert not {supervisor, worker} & {by["on_start"], by["pre_fork"]}
    maps = Path(f"/proc/{supervisor}/maps").read_text()
    assert "_json" not in maps  # what the module has imported


def test_a_worker_that_was_killed_is_told_of(hooked: Any, tmp_path: Path) -> None:
    portico = hooked(TELLS)
    portico.wait_ready()
    (pid,) = portico.worker_pids
    os.kill(pid, signal.SIGKILL)
    worker = one(tmp_path, "worker_exit")[3]
    assert worker == {"number": 1, "pid": pid, "exit_code": -9, "was_expected": False}
    portico.wait_for("is ready after")


def test_a_call_that_takes_too_long_is_told_of(hooked: Any, tmp_path: Path) -> None:
    portico = hooked(TELLS, "--timeout", "0.5")
    portico.wait_ready()
    with portico.ask("/slow"):
        request = one(tmp_path, "request_timeout")[4]
    assert (request["line"], request["timeout_s"]) == ("GET /slow", 0.5)
    assert request["elapsed_s"] >= 0.5


def test_no_hook_no_process(hooked: Any, tmp_path: Path) -> None:
    portico = hooked("import json\ndef on_exit(server): print('ended', flush=True)\n")
    portico.wait_ready()
    (worker,) = portico.worker_pids
    assert "_json" not in Path(f"/proc/{worker}/maps").read_text()
    portico.stop()
    assert "ended" in portico.log()


@pytest.mark.parametrize("name", ["on_start", "pre_fork", "post_fork", "worker_ready"])
@pytest.mark.parametrize("what", ["1 / 0", "raise SystemExit(3)"])
def test_one_that_raises_is_named_and_the_server_serves(hooked: Any, name: str, what: str) -> None:
    portico = hooked(f"def {name}(*arguments):\n    {what}\n")
    portico.wait_ready()
    assert f"the hook {name} of shop_hooks has raised" in portico.log()
    assert "shop_hooks.py" in portico.log()
    assert portico.get() == str(portico.worker_pids[0])
    portico.stop()


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("async def {name}(*arguments):\n    pass\n", "a coroutine"),
        ("def {name}(*arguments):\n    yield\n", "a generator"),
        ("async def {name}(*arguments):\n    yield\n", "an asynchronous generator"),
    ],
    ids=["coroutine", "generator", "asynchronous generator"],
)
@pytest.mark.parametrize("name", ["pre_fork", "post_fork"])
def test_one_that_only_returns_what_would_have_to_run_is_named(
    hooked: Any, name: str, source: str, what: str
) -> None:
    portico = hooked(source.format(name=name))
    portico.wait_ready()
    portico.stop()
    sentence = f"has returned {what}, of which nothing has run: expected a plain function"
    assert portico.log().count(f"the hook {name} of shop_hooks {sentence}") == 1
    assert "never awaited" not in portico.log()


@pytest.mark.parametrize("name", ["on_start", "pre_fork", "worker_exit", "on_exit"])
def test_one_that_ends_its_process_is_named(hooked: Any, name: str) -> None:
    portico = hooked(
        f"import os, signal\ndef {name}(*arguments):\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    portico.wait_ready()
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    portico.stop()
    assert f"the process of the hook {name} of shop_hooks was killed by SIGSEGV" in portico.log()


def test_one_that_takes_long_holds_up_nobody_but_those_after_it(hooked: Any, tmp_path: Path) -> None:
    source = TELLS + (
        "\ndef worker_exit(server, worker):\n    import time\n    _tell('begun')\n    time.sleep(60)\n"
    )
    portico = hooked(source)
    portico.wait_ready()
    os.kill(portico.worker_pids[0], signal.SIGKILL)
    portico.wait_for("is ready after")
    one(tmp_path, "begun")
    assert portico.get().isdecimal()
    portico.wait_for("the hook worker_exit of shop_hooks takes longer than 5 s")
    portico.stop()
    assert "the hook worker_exit of shop_hooks has not ended within 3 s: it is killed" in portico.log()
    # The one after it had its turn.
    assert "on_exit" in names(tmp_path)


def test_one_of_a_worker_that_takes_long_is_named(hooked: Any) -> None:
    portico = hooked("import time\ndef post_fork(server, worker):\n    time.sleep(5.2)\n")
    portico.wait_ready()
    assert re.search(r"the hook post_fork of shop_hooks has taken 5\.\d s", portico.log())


def test_a_hook_of_the_supervisors_has_nothing_of_the_servers(hooked: Any, tmp_path: Path) -> None:
    """Neither the port nor the workers may live on because of it."""
    source = (
        "import json, os, time\ndef on_start(server):\n    held = []\n"
        "    for fd in os.listdir('/proc/self/fd'):\n"
        "        try:\n            held.append(os.readlink(f'/proc/self/fd/{fd}'))\n"
        "        except OSError:\n            pass\n"
        "    open('held.txt', 'w').write(json.dumps(held))\n"
    )
    portico = hooked(source)
    portico.wait_ready()
    held = json.loads((tmp_path / "held.txt").read_text())
    assert [each for each in held if each.startswith("socket:")] == []


def test_a_file_may_be_named(start: Start, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/my-hooks.py").write_text("def worker_ready(server, worker):\n    print('called')\n")
    portico = start(SHOP, "--hooks", "etc/my-hooks.py")
    portico.wait_ready()
    assert "called" in portico.log()


@pytest.mark.parametrize(
    ("hooks", "sentence"),
    [
        (None, '--hooks on the command line: there is no module "shop_hooks" in '),
        ("def start(): ...", "expected one of on_start, pre_fork, "),
        ("def on_start(", "shop_hooks.py is not Python: "),
    ],
)
def test_a_module_without_hooks_is_a_mistake(
    start: Start, tmp_path: Path, hooks: str | None, sentence: str
) -> None:
    if hooks is not None:
        (tmp_path / "shop_hooks.py").write_text(hooks)
    portico = start(SHOP, "--hooks", "shop_hooks")
    assert portico.wait() == 2
    assert sentence in portico.log()


def test_hooks_of_gunicorn_get_a_hint(hooked: Any) -> None:
    portico = hooked("def post_worker_init(worker): ...\ndef on_exi(server): ...\ndef on_exit(server): ...\n")
    portico.wait_ready()
    said = portico.log()
    assert "post_worker_init is a hook of gunicorn; here it is worker_ready (docs/operations.md)" in said
    assert "on_exi is no hook; did you mean on_exit?" in said


BLOCKS = dict(
    re.findall(
        r"```python\n# (hooks_\w+)\.py\n(.*?)```",
        (Path(__file__).parents[2] / "docs/operations.md").read_text(),
        re.DOTALL,
    )
)


@pytest.mark.parametrize("name", BLOCKS)
def test_what_the_docs_show_runs(start: Start, tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(BLOCKS[name])
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/counter_1.db").touch()
    variables = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")}
    portico = start(SHOP, "-w", "1", "--hooks", name, environment=variables)
    portico.wait_ready()
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    portico.stop()
    assert "hook" not in portico.log()
    assert "Traceback" not in portico.log()
    assert name != "hooks_prometheus" or not (tmp_path / "metrics/counter_1.db").exists()
