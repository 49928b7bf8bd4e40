"""What portico was imported from is on the path of supervisor and workers too, whoever has put it there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import venv
import zipapp
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import portico
import pytest
from support.ways import in_bare_surroundings

from .conftest import Start

pytestmark = in_bare_surroundings

SHOP = """
import sys
path = list(sys.path)
def application(environ, start_response):
    start_response("200 OK", [])
    return ["\\n".join(path).encode()]
"""
PORTICO = Path(portico.__file__).parent
CLICK = Path(click.__file__).parent
BUILDOUT = """
import sys, pkg_resources, zc.buildout.easy_install
portico, click, folder = sys.argv[1:]
places = {"portico": portico, "click": click}.items()
found = [pkg_resources.Distribution(location=place, project_name=name, version="1") for name, place in places]
zc.buildout.easy_install.scripts([("portico", "portico.cli", "main")], found, sys.executable, folder)
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that has neither portico nor click."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    python = str(folder / "bin" / "python")
    ended = subprocess.run([python, "-I", "-c", "import portico"], capture_output=True, check=False)
    assert ended.returncode == 1
    return python


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with portico and click, and nothing else."""
    folder = tmp_path_factory.mktemp("packages")
    for package in (PORTICO, CLICK):
        shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def make(*command: str, folder: Path) -> None:
    """Run a program that packs things."""
    made = subprocess.run(
        command, cwd=folder, env=without_path(folder), capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr


def without_path(folder: Path) -> dict[str, str]:
    """The environment without a path to import from, and with places for what unpacks itself."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "SHIV_ROOT": str(folder / "shiv"), "PEX_ROOT": str(folder / "pex")}


def path_of_application(start: Start, program: Sequence[str], *options: str, **variables: str) -> list[str]:
    """The import path of an application that is served by `program`, also after a reload."""
    environment = {"PYTHONPATH": "", **variables}
    served = start(SHOP, "-w", "1", *options, program=program, environment=environment)
    served.wait_ready()
    path = served.get().split("\n")
    served.signal(signal.SIGHUP)
    served.wait_for("is ready after")
    assert served.get().split("\n") == path
    served.stop()
    return path


@pytest.mark.parametrize(
    "options", [[], ["-I"], ["-s", "-E"], ["-S"], ["-X", "dev", "-W", "error"]], ids=" ".join
)
def test_a_script_of_buildout_is_served(
    start: Start, tmp_path: Path, bare: str, packages: Path, options: list[str]
) -> None:
    places = [tmp_path / "eggs" / name for name in ("portico.egg", "click.egg")]
    for place, package in zip(places, ("portico", "click"), strict=True):
        place.mkdir(parents=True)
        (place / package).symlink_to(packages / package)
    make(
        sys.executable,
        "-W",
        "ignore",
        "-c",
        BUILDOUT,
        *map(str, places),
        str(tmp_path),
        folder=tmp_path,
    )
    path = path_of_application(start, [bare, *options, str(tmp_path / "portico")])
    assert path[:3] == [str(tmp_path), *map(str, places)]
    script = str(tmp_path / "portico")
    assert f"ExecStart={script} run shop" in generated_by([bare, *options, script], tmp_path)


def test_an_archive_of_shiv_is_served(start: Start, tmp_path: Path, bare: str, packages: Path) -> None:
    archive = str(tmp_path / "portico.pyz")
    shiv = str(Path(sys.executable).parent / "shiv")
    make(shiv, "--site-packages", str(packages), "-e", "portico.cli:main", "-o", archive, folder=tmp_path)
    path = path_of_application(start, [bare, archive], **places_to_unpack(tmp_path))
    assert archive in path
    assert [entry for entry in path if entry.startswith(str(tmp_path / "shiv"))]
    assert f"ExecStart={archive} run shop" in generated_by([bare, archive], tmp_path)


def test_an_archive_of_pex_is_served(start: Start, tmp_path: Path, bare: str, packages: Path) -> None:
    archive = str(tmp_path / "portico.pex")
    pex = str(Path(sys.executable).parent / "pex")
    make(
        *(pex, "-D", str(packages), "-e", "portico.cli:main", "--python", bare, "-o", archive),
        *("--runtime-pex-root", str(tmp_path / "pex")),
        folder=tmp_path,
    )
    path = path_of_application(start, [bare, archive], **places_to_unpack(tmp_path))
    assert [entry for entry in path if entry.startswith(str(tmp_path / "pex"))]
    assert f"ExecStart={archive} run shop" in generated_by([bare, archive], tmp_path)


def generated_by(program: Sequence[str], folder: Path) -> str:
    """A service of systemd: it has to start the program that it was made by."""
    command = [*program, "generate", "systemd", "shop"]
    return subprocess.run(
        command, cwd=folder, env=without_path(folder), capture_output=True, text=True, check=True
    ).stdout


def places_to_unpack(folder: Path) -> Mapping[str, str]:
    return {"SHIV_ROOT": str(folder / "shiv"), "PEX_ROOT": str(folder / "pex")}


def test_an_archive_that_holds_the_application_is_served(
    start: Start, tmp_path: Path, bare: str, packages: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "packed.py").write_text(SHOP)
    (source / "__main__.py").write_text(
        f"import sys\nsys.path.append({str(packages)!r})\nfrom portico.cli import main\nmain()\n"
    )
    archive = tmp_path / "packed.pyz"
    zipapp.create_archive(source, archive)
    served = start("", "-w", "1", application="packed", program=[bare, str(archive)])
    served.wait_ready()
    assert str(archive) in served.get().split("\n")
    served.stop()


@pytest.mark.parametrize(
    "lines",
    [
        "sys.path.insert(0, {packages!r})",
        "sys.path.append({packages!r})",
        "import os; sys.path.insert(0, os.path.relpath({packages!r}))",
        "import pathlib; sys.path[:0] = [{packages!r}, pathlib.Path('/nowhere'), b'/nowhere']",
        "import site; site.addsitedir({packages!r})",
    ],
    ids=["in front", "at the end", "relative", "beside what is no text", "as a folder of packages"],
)
def test_a_script_that_changes_the_path_is_served(
    start: Start, tmp_path: Path, bare: str, packages: Path, lines: str
) -> None:
    folder = tmp_path / "scripts"
    folder.mkdir()
    script = folder / "serve"
    script.write_text(
        f"import sys\n{lines.format(packages=str(packages))}\nfrom portico.cli import main\nmain()\n"
    )
    path = path_of_application(start, [bare, str(script)])
    assert (
        path.count(os.path.join(tmp_path, os.path.relpath(packages, tmp_path))) + path.count(str(packages))
        == 1
    )
    # Where the script is, the application is not looked for.
    assert str(folder) not in path
    assert all(os.path.isabs(entry) for entry in path)


@pytest.mark.parametrize(
    "program",
    [["-m", "portico"], ["-c", "from portico.cli import main; main()"]],
    ids=["a module", "a line"],
)
def test_the_path_of_the_environment_stays_as_it_is(
    start: Start, tmp_path: Path, bare: str, packages: Path, program: list[str]
) -> None:
    others = [str(tmp_path / "other"), str(packages)]
    path = path_of_application(start, [bare, *program], PYTHONPATH=os.pathsep.join(others))
    assert path[:3] == [str(tmp_path), *others]


def test_a_path_for_the_application_alone_comes_first(
    start: Start, tmp_path: Path, bare: str, packages: Path
) -> None:
    path = path_of_application(
        start,
        [bare, "-m", "portico"],
        *("-e", f"PYTHONPATH={tmp_path}/one{os.pathsep}two"),
        PYTHONPATH=str(packages),
    )
    assert path[:4] == [str(tmp_path), f"{tmp_path}/one", f"{tmp_path}/two", str(packages)]
