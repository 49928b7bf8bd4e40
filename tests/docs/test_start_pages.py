"""The pages that take a reader from `pip install` on: each is done from top to bottom, in an empty folder.

The first page makes its environment; the others go on in one that has the built wheel in the same way. What
else they ask pip for comes from the environment of the tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.pages import DOCS, Block, Part, blocks_of, files_of

from .terminal import Terminal, normalised, pattern_of
from .wheelhouse import pack_installed

WHEELS = DOCS.parent / "target" / "wheel"
LENT = ("click", "tomli", "flask", "django", "pytest", "watchfiles")
NEXT = {
    "start/first.md": ["flask.md", "django.md"],
    "start/flask.md": ["../development.md"],
    "start/django.md": ["../development.md"],
    "development.md": ["configuration.md"],
    "configuration.md": ["start/testing.md"],
    "start/testing.md": ["middleware.md"],
    "start/middleware.md": ["applications.md"],
    "start/applications.md": ["machines.md"],
    "start/machines.md": ["../deploy.md"],
}
"""The path through the pages."""
needs_wheel = pytest.mark.skipif(
    not [*WHEELS.glob(f"*-cp3{sys.version_info.minor}-*.whl")],
    reason="takes the wheel of `make test`",
)
needs_programs = pytest.mark.skipif(
    not shutil.which("curl") or not shutil.which("bash"), reason="takes curl and bash"
)


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a reader: this Python as `python3`, and pip that installs from this machine."""
    lent = tmp_path_factory.mktemp("lent")
    pack_installed(LENT, lent)
    programs = tmp_path_factory.mktemp("bin")
    (programs / "python3").symlink_to(os.path.realpath(sys.executable))
    home = tmp_path_factory.mktemp("home")
    # As on a terminal, where curl shows what it gets, and not how fast.
    (home / ".curlrc").write_text("silent\nshow-error\n")
    return {
        "PATH": f"{programs}:{os.defpath}:/usr/local/bin:/usr/sbin:/sbin",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": f"{WHEELS} {lent}",
        "PIP_NO_CACHE_DIR": "1",
        # Time that no page is about.
        "PIP_NO_COMPILE": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


@pytest.fixture(scope="module")
def environment(variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The same after the first page: in an environment with portico."""
    folder = tmp_path_factory.mktemp("environment") / ".venv"
    inside = {**variables, "VIRTUAL_ENV": str(folder), "PATH": f"{folder}/bin:{variables['PATH']}"}
    for command in (["python3", "-m", "venv", folder], ["pip", "install", "--quiet", "portico-server"]):
        subprocess.run(["env", *command], env=inside, check=True, timeout=60)
    return inside


@needs_wheel
@needs_programs
@pytest.mark.parametrize("page", NEXT)
def test_page(request: pytest.FixtureRequest, tmp_path: Path, page: str) -> None:
    environment = request.getfixturevalue("variables" if page == "start/first.md" else "environment")
    folder, state = tmp_path / "folder", tmp_path / "state"
    folder.mkdir()
    state.mkdir()
    terminal = Terminal(folder, state, environment)
    try:
        do_page((DOCS / page).read_text(), DOCS / page, terminal)
    finally:
        left = terminal.close()
    assert not left, f"the page does not end {left}"


def do_page(text: str, path: Path, terminal: Terminal) -> None:
    """Save each file and do each command of a page."""
    for block in steps_of(text, path):
        if block.language == "console":
            parts = block.parts()
            for part, following in zip(parts, [*parts[1:], Part("", "")], strict=True):
                terminal.do(part, may_fail=following.typed == "echo $?")
        else:
            assert block.name, f"{path}:{block.line}: a file without a name in its first line"
            file = terminal.folder / block.name
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a" if block.is_addition else "w") as opened:
                opened.write(block.text)


def steps_of(text: str, path: Path) -> Iterator[Block]:
    """The blocks; among them the files of other pages that the page links to by name, where it does so."""
    linked = {
        text.count("\n", 0, match.start()) + 1: (match[1], path.parent / match[2])
        for match in re.finditer(r"\[`([\w/]+\.py)`\]\(([\w./]+\.md)", text)
    }
    steps = [*blocks_of(text)]
    for line, (name, other) in linked.items():
        steps.append(Block("python", files_of(other.read_text())[name], line))
    return iter(sorted(steps, key=lambda block: block.line))


@pytest.mark.parametrize("page", NEXT)
def test_page_ends_with_the_link_to_the_next(page: str) -> None:
    *_, last = (DOCS / page).read_text().strip().split("\n\n")
    assert last.startswith("Next: ")
    assert re.findall(r"\]\(([^)#]+)\)", last.partition(". ")[0]) == NEXT[page]
    for target in NEXT[page]:
        assert ((DOCS / page).parent / target).is_file()


@pytest.mark.parametrize(
    ("shown", "printed", "is_same"),
    [
        pytest.param("a\n", "a\n", True, id="same"),
        pytest.param("a\n", "b\n", False, id="other"),
        pytest.param("a\n", "a\nb\n", False, id="more"),
        pytest.param("a...c\n", "abc\n", True, id="part of a line"),
        pytest.param("a...\n", "a\nb\n", False, id="not over lines"),
        pytest.param("...\nc\n", "a\nb\nc\n", True, id="lines"),
        pytest.param("ready in 0.04 s, pid 7\n", "ready in 1.5 s, pid 4242\n", True, id="varying"),
        pytest.param("HTTP/1.1 200 OK\n", "HTTP/1.1 200 OK\r\n", True, id="CRLF"),
    ],
)
def test_what_is_shown_is_compared(shown: str, printed: str, is_same: bool) -> None:
    assert bool(pattern_of(shown).fullmatch(normalised(printed))) == is_same
