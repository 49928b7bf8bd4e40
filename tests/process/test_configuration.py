"""The configuration file from outside: `run`, `config`, `check` and `schema` as a user calls them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from portico.config.settings import TABLE, Settings
from portico.errors import quoted
from support.server import free_port
from support.waiting import wait_until
from support.ways import of_the_default

HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
DEADLINE_S = 20.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(HELLO)
    return tmp_path


def portico(
    folder: Path, *words: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself, in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "portico", *words],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )


@of_the_default
def test_run_serves_by_the_file_alone(folder: Path) -> None:
    port = free_port()
    (folder / "portico.toml").write_text(
        f'[[app]]\napp = "shop"\n[processes]\nworkers = 1\nthreads = 2\n[listening]\nbind = ":{port}"\n'
        '[logs]\naccess_log = "off"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "portico", "run"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    try:

        def response() -> bytes:
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as client:
                    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    return client.makefile("rb").read()
            except ConnectionRefusedError:
                return b""

        assert wait_until(response, what="a response", deadline_s=DEADLINE_S).endswith(b"hello")
    finally:
        process.terminate()
        _, said = process.communicate(timeout=DEADLINE_S)
    assert "with 1 worker x 2 threads (portico.toml:4:11)" in said


@of_the_default
def test_the_only_application_has_its_mount_and_its_settings_in_one_table(folder: Path) -> None:
    port = free_port()
    (folder / "shop.py").write_text(
        "def application(environ, start_response):\n"
        '    start_response("200 OK", [])\n'
        '    return ["{SCRIPT_NAME} {PATH_INFO}".format(**environ).encode()]\n'
    )
    (folder / "portico.toml").write_text(
        '[[app]]\napp = "shop"\nmount = ["/shop/"]\nworkers = 1\nthreads = 3\nname = "Shop"\n'
        f'[listening]\nbind = "127.0.0.1:{port}"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "portico", "run"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    try:

        def response(path: str) -> bytes:
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as client:
                    client.sendall(b"GET %s HTTP/1.0\r\n\r\n" % path.encode())
                    return client.makefile("rb").read()
            except ConnectionRefusedError:
                return b""

        first = wait_until(lambda: response("/shop/a"), what="a response", deadline_s=DEADLINE_S)
        assert first.endswith(b"\r\n\r\n/shop /a")
        assert response("/shops").startswith(b"HTTP/1.1 404 ")
    finally:
        process.terminate()
        _, said = process.communicate(timeout=DEADLINE_S)
    assert "with 1 worker x 3 threads (portico.toml:4:11)" in said


@pytest.mark.parametrize("command", ["run", "check"])
def test_files_of_tls_that_cannot_be_used_start_nothing(folder: Path, command: str) -> None:
    (folder / "ca.pem").write_text("no certificate\n")
    text = '[[upstream]]\nto = "https://a"\nca = "{}"\n'
    for name, wanted, why in (
        ("gone.pem", "a file", "No such file or directory"),
        ("ca.pem", "a file of certificates in PEM", "there is none in it"),
    ):
        (folder / "portico.toml").write_text(text.format(name))
        done = portico(folder, command)
        shown = quoted(f"{folder}/{name}")
        assert (done.returncode, done.stdout, done.stderr) == (
            2,
            "",
            f"portico: portico.toml:1:1: ca: expected {wanted}, got {shown}: {why}\n",
        )


def test_a_check_looks_at_all_applications_and_at_none_where_none_is_needed(folder: Path) -> None:
    (folder / "portico.toml").write_text('[[app]]\napp = "shop"\n[[app]]\napp = "gone"\nmount = "/gone"\n')
    done = portico(folder, "check")
    assert (done.returncode, "no module named gone" in done.stderr) == (3, True), done.stderr
    (folder / "portico.toml").write_text('[[upstream]]\nto = "http://127.0.0.1:1"\n')
    done = portico(folder, "check")
    assert (done.returncode, "no application is needed" in done.stdout) == (0, True), done.stderr


def test_a_wrong_file_starts_nothing_and_tells_everything(folder: Path) -> None:
    (folder / "portico.toml").write_text('[[app]]\napp = "shop"\n[processes]\nthreads = 0\nworcers = 2\n')
    done = portico(folder, "run")
    assert done.returncode == 2
    assert done.stderr == (
        "portico: 2 mistakes in portico.toml\n"
        'portico.toml:4:11: threads: expected a whole number from 1 to 1024, got "0"\n'
        'portico.toml:5:1: expected a setting of [processes], got "worcers", which is none; did you '
        "mean workers?\n"
    )


def test_config_prints_a_file_that_gives_the_same_settings(folder: Path) -> None:
    (folder / "portico.toml").write_text(
        '[[app]]\napp = "shop"\nenv = { A = "x\\ty\\"", "B" = "" }\nmount = "/shop"\n'
        '[listening]\nbind = [":80", "unix:run/shop.sock?mode=660"]\nserver_header = "none"\n'
        '[times]\nkeep_alive = 0.25\n[error_pages]\n404 = "404.html"\n'
        "[[app.middleware]]\nuse = 'x:Y'\na = { '${K}' = '$${V} ${HOME}' }\n"
    )
    first = portico(folder, "config", "--threads", "3", environment={"PORTICO_TIMEOUT": "5m"})
    assert (first.returncode, first.stderr) == (0, "")
    (folder / "again.toml").write_text(first.stdout)
    both = [
        json.loads(portico(folder, "config", "--json", *words, environment=environment).stdout)
        for words, environment in (
            (["--threads", "3"], {"PORTICO_TIMEOUT": "5m"}),
            (["-c", "again.toml"], {}),
        )
    ]
    values = [
        {(table, key): entry["value"] for table, keys in each.items() for key, entry in keys.items()}
        for each in both
    ]
    assert values[0] == values[1]
    # This is a table whose keys are statuses.
    keys = {row.key for row in TABLE if row is not Settings.error_pages}
    assert {key for _, key in values[0]} == {*keys, "404"}


@of_the_default
def test_config_tells_each_origin(folder: Path) -> None:
    (folder / "portico.toml").write_text('[[app]]\napp = "shop"\n[processes]\nworkers = 2\n')
    done = portico(folder, "config", "--changed", "--threads", "3", environment={"PORTICO_TIMEOUT": "5m"})
    assert done.stdout == (
        "[[app]]\n"
        'app = "shop"  # portico.toml:2:7\n'
        "\n"
        "[processes]\n"
        "workers = 2     # portico.toml:4:11\n"
        "threads = 3     # --threads on the command line\n"
        'timeout = "5m"  # PORTICO_TIMEOUT in the environment\n'
    )
    done = portico(folder, "config", "--json", environment={"PORTICO_TIMEOT": "5m"})
    assert done.stderr == (
        "portico: PORTICO_TIMEOT in the environment is not a setting; did you mean PORTICO_TIMEOUT?\n"
    )
    assert json.loads(done.stdout)["processes"]["workers"] == {"value": 2, "origin": "portico.toml:4:11"}


def test_check_says_what_is_fine(folder: Path) -> None:
    done = portico(folder, "check", "shop", "-b", "127.0.0.1:0", "-b", f"unix:{folder}/shop.sock")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "127.0.0.1:0 can be listened on\n"
        f"unix:{folder}/shop.sock can be listened on\n"
        "shop:application can be called\n"
    )
    assert not (folder / "shop.sock").exists()


def test_check_lets_the_server_that_runs_have_its_address(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = portico(folder, "check", "shop", "-b", f"127.0.0.1:{port}")
    assert done.returncode == 0
    assert f"127.0.0.1:{port} is in use, which is fine if it is by this server\n" in done.stdout


@pytest.mark.parametrize(
    ("words", "exit_code", "sentence"),
    [
        (["shop", "--threads", "0"], 2, "--threads on the command line: expected a whole number"),
        (["shop", "-b", "192.0.2.1:80"], 2, "cannot listen on 192.0.2.1:80: this machine has no address"),
        (["shop", "-b", "unix:/nowhere/at/all.sock"], 2, 'there is no directory "/nowhere/at"'),
        (["shop:nothing"], 3, "cannot load shop:nothing: module shop has no `nothing`"),
        (["broken"], 3, "cannot load broken:\nTraceback (most recent call last):\n"),
        (["killed"], 3, "the import ended by signal 9"),
        (["leaving"], 3, "SystemExit: 0"),
        (["gone"], 3, "cannot load gone: the import ended the process with exit code 0"),
    ],
    ids=["a setting", "an address", "a folder", "a name", "an exception", "a signal", "an exit", "an end"],
)
def test_check_tells_what_is_wrong(folder: Path, words: list[str], exit_code: int, sentence: str) -> None:
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "killed.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    (folder / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    (folder / "gone.py").write_text("import os\nos._exit(0)\n")
    bind = [] if "-b" in words else ["-b", "127.0.0.1:0"]
    done = portico(folder, "check", *words, *bind)
    assert sentence in done.stderr
    assert (done.returncode, done.stdout) == (exit_code, "")


def test_check_ends_although_the_application_has_started_a_thread(folder: Path) -> None:
    (folder / "busy.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()\n" + HELLO
    )
    assert portico(folder, "check", "busy", "-b", "127.0.0.1:0").returncode == 0


def test_the_import_of_a_check_has_folder_variables_and_path_of_the_application(folder: Path) -> None:
    (folder / "lib").mkdir()
    (folder / "lib/helper.py").write_text("import os\nassert os.environ['A'] == '1'\n")
    (folder / "site").mkdir()
    (folder / "site/web.py").write_text(
        "import helper, os\nassert os.path.basename(os.getcwd()) == 'site'\n" + HELLO
    )
    (folder / "portico.toml").write_text(
        '[[app]]\napp = "web"\nchdir = "site"\npythonpath = ["lib"]\nenv = { A = "1" }\n'
        '[listening]\nbind = "127.0.0.1:0"\n'
    )
    done = portico(folder, "check")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_schema_accepts_what_the_reader_accepts(folder: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(portico(folder, "schema").stdout)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    whole = json.loads(portico(folder, "config", "--json", "shop").stdout)
    tables = {table: {key: entry["value"] for key, entry in keys.items()} for table, keys in whole.items()}
    tables["app"]["chdir"] = "."
    document = {**tables, "app": [tables["app"]]}
    assert list(validator.iter_errors(document)) == []
    for table, key, value in (
        ("processes", "threads", "8"),
        ("processes", "threads", 0),
        ("processes", "thread", 8),
        ("logs", "log_level", "loud"),
        ("times", "keep_alive", True),
    ):
        assert list(validator.iter_errors({table: {key: value}})), (table, key, value)
    assert not list(validator.iter_errors({"processes": {"threads": "${THREADS:-8}"}}))
