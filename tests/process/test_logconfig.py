"""`logconfig`: portico's records and the application's go through Python's logging."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.processes import children
from support.waiting import wait_until
from support.ways import of_the_default, without_loop

from .conftest import Portico, Start

FORMATS = """
import json
import logging


class Lines(logging.Formatter):
    def format(self, record):
        names = ("name", "levelname", "request_id", "method", "path", "route", "app", "worker", "process")
        found = {each: getattr(record, each, None) for each in names}
        found["message"] = record.getMessage()
        if record.exc_info:
            kind, value, trace = record.exc_info
            found["exception"] = [kind.__name__, str(value), trace.tb_frame.f_code.co_name]
            found["text"] = self.formatException(record.exc_info)
        return json.dumps(found)


class Raising(logging.Handler):
    def emit(self, record):
        raise RuntimeError("nobody there")


class Failing(logging.Handler):
    def emit(self, record):
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            self.handleError(record)


class Slow(logging.FileHandler):
    def emit(self, record):
        import os, time
        while "failed" in record.getMessage() and not os.path.exists("go on"):
            time.sleep(0.01)
        super().emit(record)
"""
SHOP = """
import logging, os, sys
had = "imported" if logging.getLogger().handlers else "nothing"
logging.getLogger("shop").info("the shop is %s", had)
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/broken":
        environ["portico.route"] = "/broken"
        raise KeyError(7)
    if path == "/die":
        os.kill(os.getpid(), 9)
    start_response("200 OK", [])
    if path == "/fork":
        pid = os.fork()
        if not pid:
            logging.getLogger("shop").error("in a child")
            os._exit(0)
        os.waitpid(pid, 0)
    return [str(os.getpid()).encode()]
"""
MODULES = """
import sys
def application(environ, start_response):
    start_response("200 OK", [])
    asked = [each for each in sys.modules if each.partition(".")[0] == "logging" or "python_logging" in each]
    return [repr(asked).encode()]
"""
TOML = """
[logconfig.formatters.lines]
"()" = "formats.Lines"

[logconfig.handlers.records]
class = "logging.FileHandler"
filename = "records"
formatter = "lines"

[logconfig.root]
level = "INFO"
handlers = ["records"]
"""


def write(folder: Path, toml: str) -> None:
    (folder / "formats.py").write_text(FORMATS)
    (folder / "portico.toml").write_text(toml)


def records(folder: Path, name: str = "records") -> list[dict[str, Any]]:
    path = folder / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(folder: Path, text: str, name: str = "records") -> dict[str, Any]:
    """The first record whose sentence has this in it."""

    def found() -> dict[str, Any] | None:
        return next((each for each in records(folder, name) if text in each["message"]), None)

    return wait_until(found, what=f"a record of {text!r}")


def fail_once(portico: Portico, request_id: str = "r-1") -> None:
    with portico.connect() as connection:
        lines = ["GET /broken HTTP/1.1", "Host: test", f"X-Request-ID: {request_id}", "Connection: close"]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        received = b""
        while data := connection.recv(65536):
            received += data
    assert received.startswith(b"HTTP/1.1 500 ")


@pytest.fixture
def served(start: Start, tmp_path: Path) -> Portico:
    write(tmp_path, TOML)
    portico = start(SHOP, "-w", "1")
    wait_for(tmp_path, "ready in ")
    return portico


def test_a_failed_request_is_one_record_with_its_exception(served: Portico, tmp_path: Path) -> None:
    pid = int(served.get("/"))
    fail_once(served)
    record = wait_for(tmp_path, "failed")
    text = record.pop("text")
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("KeyError: 7")
    assert record == {
        "name": "portico.error",
        "levelname": "ERROR",
        "request_id": "r-1",
        "method": "GET",
        "path": "/broken",
        "route": "/broken",
        "app": "shop:application",
        "worker": "1",
        "process": pid,
        "message": "the application shop:application at GET /broken failed",
        "exception": ["KeyError", "7", "application"],
    }
    assert served.log() == ""


def test_the_application_logs_by_it_from_its_import_on(served: Portico, tmp_path: Path) -> None:
    record = wait_for(tmp_path, "the shop is")
    assert (record["name"], record["message"]) == ("shop", "the shop is imported")


def test_what_the_supervisor_says_goes_there_to_the_last_word(served: Portico, tmp_path: Path) -> None:
    record = wait_for(tmp_path, "ready in ")
    assert (record["name"], record["levelname"], record["request_id"]) == ("portico.error", "INFO", "-")
    assert record["process"] == served.process.pid
    served.stop()
    assert any(each["message"].startswith("stop") for each in records(tmp_path))
    assert served.log() == ""


def test_a_killed_worker_has_its_record(served: Portico, tmp_path: Path) -> None:
    with served.ask("/die"):
        record = wait_for(tmp_path, "SIGKILL")
    assert (record["levelname"], record["process"]) == ("ERROR", served.process.pid)
    assert "GET /die" in record["message"]


def test_the_log_process_is_replaced_and_its_death_is_said(served: Portico, tmp_path: Path) -> None:
    worker = int(served.get("/"))
    (log_process,) = set(children(served.process.pid)) - {worker}
    os.kill(log_process, signal.SIGKILL)
    served.wait_for("the log process has ended")
    wait_until(lambda: set(children(served.process.pid)) - {worker, log_process}, what="a new log process")
    served.signal(signal.SIGHUP)
    wait_for(tmp_path, "reloading: each worker")
    served.stop()


@of_the_default
def test_without_it_nobody_imports_logging(start: Start) -> None:
    portico = start(MODULES, "-w", "1")
    portico.wait_ready()
    assert portico.get() == "[]"
    assert len(children(portico.process.pid)) == 1


@pytest.mark.parametrize("handler", ["Raising", "Failing"])
def test_a_handler_that_fails_loses_no_record_and_hurts_no_request(
    start: Start, tmp_path: Path, handler: str
) -> None:
    write(
        tmp_path,
        f'[logconfig]\nhandlers.bad.class = "formats.{handler}"\n'
        'root = { level = "INFO", handlers = ["bad"] }\n',
    )
    portico = start(SHOP.replace('logging.getLogger("shop").info', "print"), "-w", "1")
    portico.wait_ready()
    fail_once(portico)
    fail_once(portico)
    portico.wait_for("KeyError: 7\n", times=2)
    log = portico.log()
    assert log.count("at GET /broken failed\nTraceback") == 2
    # Once in the worker, once in the log process.
    why = "OSError: [Errno 28] No space left on device"
    if handler == "Raising":
        why = "RuntimeError: nobody there"
    assert log.count(f"logconfig failed: {why}; its records are here") == 2
    assert "--- Logging error ---" not in log
    portico.stop()


def test_no_request_waits_for_a_handler_and_what_is_lost_is_counted(start: Start, tmp_path: Path) -> None:
    write(tmp_path, TOML.replace('"logging.FileHandler"', '"formats.Slow"'))
    portico = start(SHOP, "-w", "1", "--threads", "1")
    wait_for(tmp_path, "ready in ")
    asked = 1100
    for _ in range(asked):
        fail_once(portico)
    assert portico.get("/")
    (tmp_path / "go on").touch()
    lost = int(wait_for(tmp_path, "take too long; ")["message"].partition("; ")[2].split()[0])
    portico.stop()
    assert lost + sum("failed" in each["message"] for each in records(tmp_path)) == asked


DJANGO_LIKE = """
import logging.config
logging.config.dictConfig({
    "version": 1,
    "handlers": {"own": {"class": "logging.FileHandler", "filename": "own"}},
    "root": {"handlers": ["own"], "level": "WARNING"},
    "loggers": {"shop": {"level": "INFO"}},
})
"""


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["forked", "preloaded"])
def test_a_dict_config_of_the_application_does_not_silence_portico(
    start: Start, tmp_path: Path, options: tuple[str, ...]
) -> None:
    write(tmp_path, TOML)
    portico = start(DJANGO_LIKE + SHOP, "-w", "2", *options)
    wait_for(tmp_path, "ready in ")
    fail_once(portico)
    assert wait_for(tmp_path, "failed")["exception"][0] == "KeyError"
    assert "the shop is imported" in (tmp_path / "own").read_text()
    portico.stop()
    assert "failed" not in (tmp_path / "own").read_text()


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["forked", "preloaded"])
def test_with_gevent_the_thread_is_no_greenlet(
    start: Start, tmp_path: Path, options: tuple[str, ...]
) -> None:
    pytest.importorskip("gevent")
    write(tmp_path, TOML)
    portico = start(SHOP, "-w", "1", "--worker", "gevent", *options)
    wait_for(tmp_path, "ready in ")
    fail_once(portico)
    assert wait_for(tmp_path, "failed")["exception"][0] == "KeyError"
    portico.stop()
    assert portico.log() == ""


SENTRY_LIKE = """
import logging
before = logging.Logger.callHandlers
def call_handlers(self, record):
    before(self, record)
    if record.name == "portico.error":
        with open("captured", "a") as file:
            file.write(record.exc_info[0].__name__ + " " + record.request_id + "\\n")
logging.Logger.callHandlers = call_handlers
"""


def test_who_hears_of_all_loggers_hears_of_the_exception(start: Start, tmp_path: Path) -> None:
    write(tmp_path, TOML)
    portico = start(SENTRY_LIKE + SHOP, "-w", "1")
    wait_for(tmp_path, "ready in ")
    fail_once(portico)
    wait_for(tmp_path, "failed")
    portico.stop()
    assert (tmp_path / "captured").read_text() == "KeyError r-1\n"


def test_handlers_that_the_application_gives_to_portico_are_added(start: Start, tmp_path: Path) -> None:
    write(tmp_path, TOML)
    own = DJANGO_LIKE.replace('"loggers": {', '"loggers": {"portico": {"handlers": ["own"]}, ')
    portico = start(own + SHOP, "-w", "1")
    wait_for(tmp_path, "ready in ")
    fail_once(portico)
    wait_for(tmp_path, "failed")
    portico.stop()
    assert "failed\nTraceback" in (tmp_path / "own").read_text()


@without_loop
def test_a_template_and_its_workers_have_it_each(start: Start, tmp_path: Path) -> None:
    write(tmp_path, TOML)
    portico = start(SHOP, "-w", "2", "--preload", "--refork-after", "3")
    wait_for(tmp_path, "ready in ")
    for number in range(20):
        fail_once(portico, f"r-{number}")
    served = {f"r-{number}" for number in range(20)}

    def found() -> bool:
        return {each["request_id"] for each in records(tmp_path)} >= served

    wait_until(found, what="all failures")
    assert {each["worker"] for each in records(tmp_path) if each["request_id"] in served} <= {"1", "2"}
    portico.stop()
    assert not [each for each in records(tmp_path) if "preload:" in each["message"]], records(tmp_path)


def test_a_process_that_the_application_forks_logs_too(served: Portico, tmp_path: Path) -> None:
    served.get("/fork")
    assert wait_for(tmp_path, "in a child")["name"] == "shop"
    fail_once(served)
    wait_for(tmp_path, "failed")


def test_a_reload_reads_it_anew_and_rejects_what_is_wrong(served: Portico, tmp_path: Path) -> None:
    write(tmp_path, TOML.replace('"records"\nformatter', '"others"\nformatter'))
    # Nobody has the classes of before.
    (tmp_path / "formats.py").write_text(
        FORMATS.replace("record.getMessage()", '"2: " + record.getMessage()')
    )
    served.signal(signal.SIGHUP)
    wait_for(tmp_path, "2: the shop is imported", "others")
    wait_for(tmp_path, "is ready after", "others")
    assert all(each["message"].startswith("2: ") for each in records(tmp_path, "others"))
    fail_once(served)
    wait_for(tmp_path, "failed", "others")
    write(tmp_path, TOML.replace('formatter = "lines"', 'formatter = "liens"'))
    served.signal(signal.SIGHUP)
    record = wait_for(tmp_path, "portico.toml:5:1: logconfig.handlers.records: expected ", "others")
    assert record["name"] == "portico.error"
    assert served.get("/")
    served.stop()


def test_files_are_opened_anew(served: Portico, tmp_path: Path) -> None:
    (tmp_path / "records").rename(tmp_path / "moved")
    served.signal(signal.SIGUSR1)
    wait_until(lambda: (tmp_path / "records").exists(), what="a new file")

    def is_new() -> bool:
        fail_once(served)
        return any("failed" in each["message"] for each in records(tmp_path))

    wait_until(is_new, what="records of the worker in it")
    served.stop()
    assert any(each["message"].startswith("stop") for each in records(tmp_path))


def test_an_upgrade_goes_on_with_it(served: Portico, tmp_path: Path) -> None:
    served.signal(signal.SIGUSR2)
    wait_for(tmp_path, "upgraded from ")
    fail_once(served)
    wait_for(tmp_path, "failed")
    served.stop()


GUNICORN = """
[loggers]
keys = root, gunicorn.error

[handlers]
keys = records

[formatters]
keys = lines

[logger_root]
level = WARNING
handlers =

[logger_gunicorn.error]
level = INFO
handlers = records
propagate = 0
qualname = gunicorn.error

[handler_records]
class = FileHandler
formatter = lines
args = ("records", "a")

[formatter_lines]
class = formats.Lines
"""


def test_a_file_of_gunicorn_gets_the_records_of_portico(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "")
    (tmp_path / "logging.ini").write_text(GUNICORN)
    portico = start(SHOP, "-w", "1", "--log-config", "logging.ini")
    wait_for(tmp_path, "ready in ")
    fail_once(portico)
    assert wait_for(tmp_path, "failed")["name"] == "portico.error"
    assert "logconfig names the logger gunicorn.error, whose handlers portico's records get" in portico.log()
    portico.stop()


JSON = {
    "formatters": {"lines": {"()": "formats.Lines"}},
    "handlers": {"records": {"class": "logging.FileHandler", "filename": "records", "formatter": "lines"}},
    "loggers": {"portico": {"handlers": ["records"], "level": "INFO", "propagate": False}},
}


def test_a_file_of_json_gives_handlers_to_portico_alone(start: Start, tmp_path: Path) -> None:
    write(tmp_path, '[logs]\nlogconfig = "logging.json"\n')
    (tmp_path / "logging.json").write_text(json.dumps(JSON))
    portico = start(SHOP, "-w", "1")
    wait_for(tmp_path, "ready in ")
    fail_once(portico)
    wait_for(tmp_path, "failed")
    portico.stop()
    assert {each["name"] for each in records(tmp_path)} == {"portico.error"}


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("[logconfig]\nversion = 2\n", "portico.toml:2:11: logconfig.version: expected 1, got 2"),
        (
            "[logconfig]\nhandler = 1\n",
            "portico.toml:2:11: logconfig.handler: expected one of version, formatters, filters, handlers, "
            'loggers, root, incremental, disable_existing_loggers, got "handler"',
        ),
        (
            "[logconfig.handlers.x]\nlevel = 'INFO'\n",
            'portico.toml:1:1: logconfig.handlers.x: expected class = "MODULE.NAME", got none',
        ),
        (
            "[logconfig.handlers.x]\nclass = 'logging.Nothing'\n",
            "portico.toml:1:1: logconfig.handlers.x: expected what Python's logging takes, got: ",
        ),
        (
            "[logconfig.handlers.x]\nclass = 'logging.FileHandler'\nfilename = 'no/such'\n",
            "portico.toml:1:1: logconfig.handlers.x: expected what Python's logging takes, got: "
            "FileNotFoundError: [Errno 2] No such file or directory: ",
        ),
        (
            "[logconfig.loggers.shop]\nlevel = 'LOUD'\n",
            "portico.toml:1:1: logconfig.loggers.shop: expected what Python's logging takes, got: "
            "Unknown level: 'LOUD'",
        ),
        ("[logs]\nlogconfig = 'none.json'\n", 'portico.toml:2:13: cannot read "none.json": No such file'),
        ("logconfig = 7\n", "portico.toml:1:13: logconfig: expected a file of TOML, JSON or INI"),
        ("[logs]\nlogconfig = 'shop.py'\n", "shop.py: expected INI for logging.config.fileConfig, got: "),
    ],
    ids=["version", "key", "class", "resolve", "file", "level", "missing", "type", "ini"],
)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_mistake_is_a_sentence_with_its_place(
    tmp_path: Path, command: str, toml: str, sentence: str
) -> None:
    write(tmp_path, toml)
    (tmp_path / "shop.py").write_text("def application(environ, start_response): pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "portico", command, "shop", "-b", "127.0.0.1:0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr


def test_check_says_of_what_is_fine_only_what_is_worth_a_look(tmp_path: Path) -> None:
    write(tmp_path, "[logconfig.root]\nlevel = 'INFO'\n")
    (tmp_path / "shop.py").write_text("def application(environ, start_response): pass\n")
    command = [sys.executable, "-m", "portico", "check", "shop", "-b", "127.0.0.1:0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "logconfig has no handler for portico.error: portico's records go to standard error" in done.stdout


def test_config_shows_the_table_as_a_file_would_have_it(tmp_path: Path) -> None:
    write(tmp_path, TOML)
    (tmp_path / "shop.py").write_text("application = None\n")
    command = [sys.executable, "-m", "portico", "config", "shop"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert 'logconfig = { "formatters" = { "lines" = { "()" = "formats.Lines" } }' in done.stdout
