"""portico.process.static_files: the directories that applications have, where `static` is `auto`."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Blueprint, Flask
from portico import log
from portico.config.sources import resolve
from portico.process.static_files import with_static_files


@pytest.fixture
def sentences(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the log says."""
    sentences: list[str] = []
    monkeypatch.setattr(log, "info", sentences.append)
    monkeypatch.setattr(log, "warning", sentences.append)
    return sentences


def found(application: object, *static: str, mount: str = "", tells: bool = True) -> list[str]:
    values = {"app": ["shop"], "static": static or ["auto"], "script_name": [mount or "/"]}
    settings = resolve(values, {})
    return list(with_static_files(settings, application, "shop:app", tells=tells).static_directories)


def test_folders_that_are_there_below_their_paths(tmp_path: Path, sentences: list[str]) -> None:
    app = Flask("shop", root_path=str(tmp_path), static_url_path="/files", static_folder="assets")
    outer = Blueprint("outer", "shop", root_path=str(tmp_path), url_prefix="/o", static_folder="outer")
    inner = Blueprint("inner", "shop", root_path=str(tmp_path), url_prefix="/i", static_folder="inner")
    gone = Blueprint("gone", "shop", root_path=str(tmp_path), url_prefix="/g", static_folder="gone")
    user = Blueprint("user", "shop", root_path=str(tmp_path), url_prefix="/<name>", static_folder="outer")
    host = Blueprint("host", "shop", root_path=str(tmp_path), subdomain="x", url_prefix="/h")
    outer.register_blueprint(inner)
    for blueprint in (outer, gone, user, host):
        app.register_blueprint(blueprint)
    for name in ("assets", "outer", "inner"):
        (tmp_path / name).mkdir()
    expected = [
        f"/shop/files={tmp_path}/assets",
        f"/shop/o/i/inner={tmp_path}/inner",
        f"/shop/o/outer={tmp_path}/outer",
    ]
    directories = found(app, "auto", mount="/shop")
    assert sorted(directories) == expected
    assert sentences == [f"static: auto is {', '.join(directories)}, of shop:app"]
    assert found(app, "/shop/files=own", "auto", mount="/shop", tells=False)[0] == "/shop/files=own"
    assert len(sentences) == 1


def test_files_at_the_root(tmp_path: Path, sentences: list[str]) -> None:
    app = Flask("shop", root_path=str(tmp_path), static_url_path="", static_folder=".")
    assert found(app) == [f"/={tmp_path}"]
    assert len(sentences) == 1


@pytest.mark.parametrize(
    ("application", "why"),
    [
        (object(), "it is neither of Flask nor of Django; expected --static PREFIX=DIR"),
        (Flask("shop", static_folder=None, root_path="/none"), "Flask has no static_folder"),
        (Flask("shop", root_path="/none"), "there is no directory /none/static, static_folder of Flask"),
    ],
    ids=["neither", "none", "not-there"],
)
def test_what_is_not_found_is_told(application: object, why: str, sentences: list[str]) -> None:
    assert found(application) == []
    assert sentences == [f"static: auto has found no files of shop:app: {why}"]
