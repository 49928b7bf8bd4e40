"""`portico generate` itself: what it prints and writes, how it fails, and that nobody else loads it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner
from portico.commands.all import commands
from portico.config.settings import TABLE
from portico.errors import OperatorError

from .made import generated, head_of
from .test_containers import docker_command, pod_command
from .test_systemd import settings_of, started

TARGETS = ("nginx", "apache", "haproxy", "systemd", "dockerfile", "k8s")
EVERY_TARGET = pytest.mark.parametrize("target", TARGETS)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short name: messages quote a long one in part."""
    with TemporaryDirectory(prefix="portico-") as folder:
        yield Path(folder)


def systemd_command(*arguments: str) -> list[str]:
    """The command of the service."""
    return started(generated("systemd", *arguments))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`portico generate ARGUMENTS`, as a process."""
    command = [sys.executable, "-m", "portico", "generate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


@EVERY_TARGET
def test_the_head_has_the_command_that_makes_the_same_again(target: str) -> None:
    options = ("--timeout", "90s", "-w", "2", "-b", "0.0.0.0:81", "--name", "a-shop")
    if target in ("nginx", "apache"):
        options += ("--static", "/static=/srv/my files", "--server-name", "shop.example", "--listen", "8080")
    text = generated(target, "shop.wsgi", *options, environment={"PORTICO_HEALTH_PATH": "/livez"})
    command = shlex.split(head_of(text).splitlines()[1])
    assert command[:3] == ["portico", "generate", target]
    assert generated(target, *command[3:]) == text


@EVERY_TARGET
@pytest.mark.parametrize(
    ("options", "environment", "word"),
    [
        (("--strict",), {}, "--strict"),
        ((), {"PORTICO_STRICT": "True"}, "--strict"),
        (("--no-strict",), {"PORTICO_STRICT": "true"}, "--no-strict"),
        ((), {"PORTICO_STRICT": "false"}, "--no-strict"),
    ],
)
def test_a_flag_is_one_word_wherever_it_was_said(
    target: str, options: tuple[str, ...], environment: dict[str, str], word: str
) -> None:
    text = generated(target, "shop.wsgi", *options, environment=environment)
    command = shlex.split(head_of(text).splitlines()[1])
    assert [part for part in command if "strict" in part] == [word]
    assert generated(target, *command[3:]) == text


@EVERY_TARGET
def test_takes_all_settings(target: str) -> None:
    page = CliRunner().invoke(commands, ["generate", target, "--help"], terminal_width=200).output
    for row in TABLE:
        for flag in row.flags:
            assert flag in page
    assert "What is printed:" in page
    assert "--output" in page


@pytest.mark.parametrize("target", ["nginx", "apache", "haproxy"])
def test_the_file_of_a_reverse_proxy_tells_nothing_of_the_application(target: str) -> None:
    text = generated(target, "shop", "-e", "SECRET=abc", environment={"PORTICO_ENV": "OTHER=def"})
    assert "SECRET" not in text
    text = generated(target, "shop", environment={"PORTICO_ENV": "OTHER=def"})
    assert "OTHER" not in text


@pytest.mark.parametrize("target", ["nginx", "apache", "haproxy"])
def test_a_reverse_proxy_needs_no_application(target: str) -> None:
    assert " portico " in generated(target)


@EVERY_TARGET
@pytest.mark.parametrize(
    ("application", "name"),
    [("shop.wsgi:app", "shop"), ("My_Shop:make()", "my-shop"), ("été.wsgi", "portico"), ("_:app", "portico")],
)
def test_a_name_is_made_of_the_module(target: str, application: str, name: str) -> None:
    # What is generated starts portico with that name, in words, in JSON or in YAML.
    said = re.compile(
        rf'(?: \\\n   )? --name {name}|, "--name", "{name}"|\n *- "?--name"?\n *- "?{name}"?(?=\n)'
    )

    def lines(*options: str) -> list[str]:
        text = said.sub("", generated(target, application, *options))
        return [line for line in text.splitlines() if "portico generate" not in line]

    assert lines("--name", name) == lines()
    assert lines("--name", "other") != lines()


@EVERY_TARGET
def test_writes_a_file_and_never_over_another(target: str, tmp_path: Path) -> None:
    path = tmp_path / ("web.service" if target == "systemd" else "file")
    found = run(target, "shop", "--output", str(path))
    assert (found.returncode, found.stdout) == (0, "")
    assert found.stderr.startswith(f"portico: wrote {path}")
    first = path.read_text()

    path.write_text("mine")
    found = run(target, "shop", "-o", str(path))
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == f'portico: "{path}" exists already and is left as it is; --force overwrites it\n'
    assert path.read_text() == "mine"

    assert run(target, "shop", "--output", str(path), "--force").returncode == 0
    assert path.read_text() == first


def test_writes_all_files_or_none(tmp_path: Path) -> None:
    (tmp_path / "shop.socket").write_text("mine")
    found = run("systemd", "shop", "--output", str(tmp_path / "shop.service"))
    assert found.returncode == 2
    assert f'"{tmp_path}/shop.socket" exists already' in found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["shop.socket"]


def test_a_link_to_nowhere_is_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert run("nginx", "shop", "--output", str(tmp_path / "link")).returncode == 2
    assert not (tmp_path / "elsewhere").exists()


def test_says_where_it_cannot_write(tmp_path: Path) -> None:
    found = run("nginx", "shop", "--output", str(tmp_path / "missing" / "file"))
    assert found.returncode == 2
    assert found.stderr == f'portico: cannot write "{tmp_path}/missing/file": No such file or directory\n'


def test_prints_the_files_one_after_the_other() -> None:
    text = generated("systemd", "shop", "-b", ":81", "-b", ":82")
    names = [f"For /etc/systemd/system/shop{name}" for name in (".service", ".socket", "-2.socket")]
    places = [text.index(name) for name in names]
    assert places == sorted(places)


def test_opens_and_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # `portico run` would make the log here.
    for target in TARGETS:
        generated(target, "shop", "--access-log", "access.log", "-b", ":8000", "-b", "unix:/tmp/a.sock")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--timeout", "soon"), "--timeout on the command line: expected a duration"),
        (("--max-head", "1K"), "max_head is 1K (--max-head on the command line), but has to be larger than"),
        (("-b", ":81", "-b", ":81"), "0.0.0.0:81 is given twice"),
        (("-b", "uwsgi://:81", "--uwsgi-allow-from", "none"), "nobody could use uwsgi://0.0.0.0:81"),
    ],
)
def test_rejects_settings_that_portico_would_reject(options: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(OperatorError) as failure:
        generated("nginx", "shop", *options)
    assert sentence in failure.value.message


def test_knows_which_target_was_meant() -> None:
    found = run("ngnix", "shop")
    assert found.returncode == 2
    assert "No such command 'ngnix'. Did you mean `portico generate nginx`?" in found.stderr


def test_warns_of_variables_that_are_no_settings(tmp_path: Path) -> None:
    found = CliRunner().invoke(commands, ["generate", "nginx"], env={"PORTICO_TIMEOT": "1"})
    assert "PORTICO_TIMEOT in the environment is not a setting; did you mean PORTICO_TIMEOUT?" in found.stderr


LOADED = """
import sys
import {modules}
print(*(name for name in sys.modules if name.startswith("portico.generate")))
"""


@pytest.mark.parametrize(
    "modules", ["portico.cli, portico.process.launch", "portico.process.__main__, portico.process.worker"]
)
def test_nobody_else_loads_it(modules: str) -> None:
    def loaded(more: str = "") -> str:
        code = LOADED.format(modules=modules + more)
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert loaded() == "\n"
    assert "portico.generate.nginx" in loaded(", portico.generate.targets")


MIDDLEWARE = """
[[app]]
middleware = [
    "a:b",
    { use = "a:c", x = 1, name = "it's 50% \\"of\\" $HOME \\\\ ${SHOP:-shop}, é" },
    { use = "a:d", targets = { "/api/" = { target = ["http://10.0.0.7/", "$(B)"], on = true, rate = 2.5 } } },
]
"""


@pytest.mark.parametrize(
    "command", [docker_command, pod_command, systemd_command], ids=["dockerfile", "k8s", "systemd"]
)
def test_middleware_has_its_arguments_in_what_is_generated(
    command: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("portico.toml").write_text(MIDDLEWARE)
    expected = (
        ("a:b", ()),
        ("a:c", (("x", 1), ("name", 'it\'s 50% "of" $HOME \\ shop, é'))),
        ("a:d", (("targets", {"/api/": {"target": ["http://10.0.0.7/", "$(B)"], "on": True, "rate": 2.5}}),)),
    )
    assert settings_of(command("shop", "-b", ":8000")).middleware == expected


@pytest.mark.parametrize("target", ["systemd", "dockerfile", "k8s"])
def test_arguments_that_are_no_literals_are_nothing_for_a_command_line(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("portico.toml").write_text('[[app]]\nmiddleware = [{ use = "a:b", x-y = 1 }]\n')
    with pytest.raises(OperatorError) as raised:
        generated(target, "shop")
    assert raised.value.message == (
        "portico.toml:2:14: a:b has arguments that only a configuration file can hold, and a command line "
        "is made here: name a function of your own that needs none"
    )


@EVERY_TARGET
def test_middleware_is_for_those_who_run_the_application(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    is_proxy = target in ("nginx", "apache", "haproxy")
    Path("portico.toml").write_text('[[app]]\nmiddleware = [{ use = "a:b", x = 1 }]\n')
    assert ("a:b" in generated(target, "shop")) != is_proxy
