"""docs/cluster.md: its configurations are read by those that they are for, and the first ones run."""

from __future__ import annotations

import subprocess
from pathlib import Path
from textwrap import indent

import pytest
import yaml
from portico.config.clashes import clashes
from portico.config.file import read_file
from portico.config.sources import resolve
from portico.process.cluster.agent import LINES
from process.conftest import Portico
from support.pages import DOCS, Block, blocks_of
from support.raw_client import Connection
from support.reverse_proxies import ForegroundProgram, find_program
from support.server import free_port
from support.waiting import wait_until

from .page import PAGE, adapted, block

EXAMPLES = DOCS.parent / "examples"


def named(language: str) -> list[Block]:
    """The blocks of the page in one language."""
    return list(blocks_of(PAGE, language))


def test_every_block_has_a_name_of_its_own() -> None:
    names = [each.name for each in blocks_of(PAGE)]
    assert all(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("one", named("haproxy"), ids=lambda one: one.name)
def test_haproxy_takes_a_configuration_of_the_page(one: Block, tmp_path: Path) -> None:
    file = tmp_path / one.name
    file.write_text(one.text)
    program = find_program("haproxy", what="docs/cluster.md")
    done = subprocess.run(
        [program, "-c", "-f", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.mark.parametrize("one", named("toml"), ids=lambda one: one.name)
def test_portico_takes_a_configuration_of_the_page(one: Block, tmp_path: Path) -> None:
    file = tmp_path / one.name
    file.write_text(one.text)
    found = read_file(str(file), {})
    assert found.mistakes == []
    assert any(name.startswith("cluster_") for name in found.values)
    settings = resolve({}, {}, found)
    assert clashes(settings, str(tmp_path)) == []


def test_nginx_takes_the_configuration_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "shop.conf").write_text(block("shop.conf"))
    around = f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{ access_log off; include shop.conf; }}\n"
    (tmp_path / "nginx.conf").write_text(around)
    program = find_program("nginx", what="docs/cluster.md")
    words = [program, "-t", "-p", str(tmp_path), "-c", "nginx.conf", "-e", str(tmp_path / "error.log")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("one", named("yaml"), ids=lambda one: one.name)
def test_yaml_of_the_page_is_some(one: Block) -> None:
    assert isinstance(yaml.safe_load(one.text), dict)


@pytest.mark.parametrize("name", ["haproxy.cfg", "portico.toml"])
def test_the_example_is_the_first_one_of_the_page(name: str) -> None:
    assert (EXAMPLES / "cluster" / name).read_text() == block(name)


def test_the_table_has_every_line_of_the_agent() -> None:
    assert [line for line in LINES.values() if f"| `{line}` |" not in PAGE] == []


@pytest.mark.parametrize("name", ["envoy.yaml", "eds.yaml"])
def test_envoy_takes_a_configuration_of_the_page(name: str, tmp_path: Path) -> None:
    program = find_program("envoy", what="docs/cluster.md")
    (tmp_path / "shop.json").write_text('{"resources": []}')
    text = block(name).replace("/etc/envoy/eds", str(tmp_path))
    if not text.partition("\n")[2].startswith("node:"):
        # What is a part of them on the page.
        text = "static_resources:\n" + indent(text, "  ")
    (tmp_path / name).write_text(text)
    words = [program, "--mode", "validate", "-c", str(tmp_path / name)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr


def status_of(port: int) -> int:
    with Connection(("127.0.0.1", port)) as connection:
        return connection.request("/").status


def test_the_first_configurations_of_the_page_serve(tmp_path: Path) -> None:
    port, own, api = free_port(), free_port(), tmp_path / "admin.sock"
    program = find_program("haproxy", what="docs/cluster.md")

    def written(name: str, changes: dict[str, str]) -> Path:
        (tmp_path / name).write_text(adapted(name, changes))
        return tmp_path / name

    proxy = written(
        "haproxy.cfg", {"/run/haproxy/admin.sock": str(api), "bind :80": f"bind 127.0.0.1:{port}"}
    )
    written("portico.toml", {"/run/haproxy/admin.sock": str(api), "0.0.0.0:8000": f"0.0.0.0:{own}"})
    (tmp_path / "hello.py").write_text((EXAMPLES / "hello.py").read_text())
    log = tmp_path / "haproxy.log"
    words = [program, "-db", "-f", str(proxy)]
    with ForegroundProgram("haproxy", words, folder=tmp_path, log_path=log, port=port):
        portico = Portico(tmp_path, "", [], port=own, reads_file=True)
        try:
            wait_until(lambda: status_of(port) == 200, what="a response of portico's through HAProxy")
            portico.stop()
            assert status_of(port) == 503
        finally:
            portico.kill()
