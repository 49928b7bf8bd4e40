"""`flask portico`, as Flask finds it by its entry point; and Flask's templates."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from support.server import free_port

from .conftest import HTML, Development, Start, save

pytest.importorskip("flask")

ROOT = Path(__file__).parents[2]
APP = """
import os
from flask import Flask, render_template
{before}
app = Flask(__name__, template_folder="pages")

@app.get("/")
def home():
    return render_template("home.html", value={value})

@app.get("/process")
def process():
    return str(os.environ.get("WERKZEUG_RUN_MAIN"))

@app.get("/broken")
def broken():
    raise RuntimeError("broken on purpose")

if __name__ == "__main__":
    app.run()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Flask application, and portico's entry points as an installation has them."""
    (tmp_path / "pages").mkdir()
    save(tmp_path / "pages" / "home.html", "old {{ value }}")
    save(tmp_path / "app.py", APP.format(value="'value'", before=""))
    declared = (ROOT / "pyproject.toml").read_text()
    (table,) = re.findall(
        r'^\[project\.entry-points\."(flask\.commands)"\]\n(.*?)\n\n', declared, re.MULTILINE | re.DOTALL
    )
    installed = tmp_path / "installed" / "portico_entry_points-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: portico-entry-points\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(f"[{table[0]}]\n{table[1].replace(chr(34), '')}\n")
    return tmp_path


def flask_portico(start: Start, folder: Path, *options: str, before: tuple[str, ...] = ()) -> Development:
    port = free_port()
    command = [sys.executable, "-m", "flask", *before, "portico", "--port", str(port)]
    paths = [str(folder / "installed"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return start(
        *options, command=command, port=port, environment={"PYTHONPATH": ":".join(paths)}
    ).wait_ready()


def test_serves_and_reloads_what_flask_finds(start: Start, folder: Path) -> None:
    dev = flask_portico(start, folder)
    assert dev.body() == "old value"
    assert dev.body("/process") == "true"
    save(folder / "app.py", APP.format(value="'other'", before=""))
    dev.wait_body("old other")


def test_reloads_templates_in_a_folder_of_any_name(start: Start, folder: Path) -> None:
    dev = flask_portico(start, folder)
    assert dev.body() == "old value"
    save(folder / "pages" / "home.html", "new {{ value }}")
    dev.wait_body("new value")


def test_serves_the_application_that_is_named(start: Start, folder: Path) -> None:
    source = (
        APP.format(value="'made'", before="")
        .replace("app = Flask", "made = Flask")
        .replace("@app.", "@made.")
    )
    save(folder / "store.py", source)
    dev = flask_portico(start, folder, before=("--app", "store:made"))
    assert dev.body() == "old made"
    assert "serves store:made for development" in dev.log()


def test_a_broken_file_and_its_mending(start: Start, folder: Path) -> None:
    dev = flask_portico(start, folder)
    save(folder / "app.py", "def broken(:\n")
    dev.wait_for("the error page is served")
    assert "SyntaxError" in dev.get(accept=HTML)[2]
    save(folder / "app.py", APP.format(value="'mended'", before=""))
    dev.wait_body("old mended")


def test_in_debug_an_exception_has_a_page(start: Start, folder: Path) -> None:
    dev = flask_portico(start, folder, before=("--debug",))
    page = dev.get("/broken", accept=HTML)[2]
    assert "RuntimeError: broken on purpose" in page


def test_an_application_that_runs_itself_does_not(start: Start, folder: Path) -> None:
    save(folder / "app.py", APP.format(value="'value'", before="") + "\napp.run()\n")
    assert flask_portico(start, folder).body() == "old value"


def test_no_application_is_a_sentence(start: Start, folder: Path) -> None:
    (folder / "app.py").unlink()
    dev = flask_portico(start, folder)
    assert "Could not locate a Flask application" in dev.get()[2]
    assert "Traceback" not in dev.log()


def test_no_reload(start: Start, folder: Path) -> None:
    dev = flask_portico(start, folder, "--no-reload", "--threads", "4")
    assert dev.body("/process") == "None"
    assert "with 4 threads, reloading never" in dev.log()
