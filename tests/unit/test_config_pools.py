"""portico.config.pools: which applications share processes, and by which settings each pool is served."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from portico.config.find_file import find_file
from portico.config.pools import file_name, router_settings
from portico.config.routes.application_files import changed_ns
from portico.config.routes.table import Routes
from portico.config.settings import Settings
from portico.config.sources import resolve
from portico.errors import OperatorError

TWO = """
[processes]
workers = 3
threads = 6
[[app]]
app = "front"
[[app]]
app = "news:app"
mount = "/news"
middleware = ["around:Around"]
[[app]]
app = "shop.wsgi:app"
mount = "/shop"
threads = 2
env = { A = "b" }
"""
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings_of(text: str, *, pool: str = "", environment: dict[str, str] | None = None) -> Settings:
    Path("portico.toml").write_text(text, "utf-8")
    return resolve({}, environment or {}, find_file(None, {}), pool=pool)


def pools_of(text: str) -> dict[str, dict[str, Any]]:
    """The records of the pools of a file, by name."""
    pools = settings_of(text).pools
    assert pools is not None
    return {record["name"]: record for record in pools["pools"]}


def left_out_of(text: str) -> list[str]:
    """What is said of the files of applications that are left out."""
    pools = settings_of(text).pools
    assert pools is not None
    return [sentence for sentences in pools["left_out"].values() for sentence in sentences]


def test_who_asks_for_nothing_shares_a_pool_and_others_have_their_own() -> None:
    pools = pools_of(TWO)
    assert {name: pool["apps"] for name, pool in pools.items()} == {
        "shop.wsgi-app": ["shop.wsgi:app"],
        "shared": ["news:app", "front"],
    }


def test_without_anything_of_its_own_there_are_no_pools() -> None:
    text = TWO.partition('[[app]]\napp = "shop')[0]
    settings = settings_of(text)
    assert (settings.pools, settings.app) == (None, "news:app")


def test_the_only_application_needs_no_pool() -> None:
    text = '[[app]]\napp = "shop"\nthreads = 2\nvenv = "v"\n[[respond]]\npath = "/a"\n'
    settings = settings_of(text)
    assert (settings.pools, settings.threads) == (None, 2)
    assert settings.virtual_environment == f"{os.getcwd()}/v"


def test_a_pool_has_its_own_settings_and_else_those_of_the_server() -> None:
    settings = settings_of(TWO, pool="shop.wsgi-app", environment={"PORTICO_THREADS": "9"})
    assert (settings.workers, settings.threads, settings.env) == (3, 2, (("A", "b"),))
    assert settings.origins["threads"] == "portico.toml:14:11"
    assert (settings.app, settings.name) == ("shop.wsgi:app", "shop.wsgi-app")
    shared = settings_of(TWO, pool="shared", environment={"PORTICO_THREADS": "9"})
    assert (shared.workers, shared.threads, shared.env) == (3, 9, ())


def test_the_router_calls_nobody_and_is_not_scaled() -> None:
    text = "[routes]\nworkers = 1\n[scaling]\nworkers_min = 1\nworkers_max = 4\n" + TWO
    router = router_settings(settings_of(text))
    assert (router.workers, router.workers_max, router.threads, router.preload) == (1, None, 1, False)


def test_a_pool_believes_the_router_and_whom_the_server_believes() -> None:
    text = f'[reverse_proxies]\nforwarded_allow_ips = "10.0.0.0/8"\n{TWO}'
    assert settings_of(text, pool="shared").forwarded_allow_ips == ("unix", "10.0.0.0/8")
    text = f'[reverse_proxies]\nforwarded_allow_ips = "none"\n{TWO}'
    assert settings_of(text, pool="shared").forwarded_allow_ips == ("unix",)


@pytest.mark.parametrize(("own", "largest"), [("1K", 1 << 20), ("4G", 4 << 30), ("0", 0)])
def test_the_router_takes_bodies_that_any_pool_takes(own: str, largest: int) -> None:
    text = f'[request_limits]\nmax_request_body = "1M"\n{TWO}max_request_body = "{own}"\n'
    assert router_settings(settings_of(text)).max_request_body_bytes == largest


def test_a_name_that_is_said_is_the_pools_and_is_taken_once() -> None:
    text = TWO + 'name = "shared"\n[[app]]\napp = "shop.wsgi:app"\nmount = "/b"\nthreads = 1\n'
    assert list(pools_of(text)) == ["shared", "shop.wsgi-app", "shared-2"]


def test_pools_of_the_same_application_are_told_apart_by_their_places() -> None:
    def own(n: int, place: str) -> str:
        return f'[[app]]\napp = "shop:app"\n{place}\nthreads = {n}\n'

    rows = [own(2, 'mount = "/a/b"'), own(3, 'host = "*.A.example"'), own(4, 'mount = "/a-b"')]
    names = {"shop-app-a-b": 2, "shop-app-a.example": 3, "shop-app-a-b-2": 4}

    def threads_of(text: str) -> dict[str, int]:
        return {name: settings_of(text, pool=name).threads for name in pools_of(text)}

    front = '[[app]]\napp = "front"\nmount = "/f"\n'
    assert threads_of(front + "".join(rows)) == {**names, "shared": Settings.threads.default}
    # One that comes before them, or goes, changes no other's name.
    names = {"shop-app-new": 9, "shop-app-a-b": 2, "shop-app-a.example": 3}
    text = own(9, 'mount = "/new"') + "".join(rows[:2])
    assert threads_of(text) == names
    # Alone it needs no place.
    assert list(pools_of(front + rows[0])) == ["shop-app", "shared"]


def test_a_file_of_the_folder_takes_no_name_of_another_pool() -> None:
    folder = Folder()
    text = f'{folder.TEXT}[[app]]\napp = "shop:app"\nmount = "/shop"\nthreads = 2\n'
    before = pools_of(text)
    assert list(before) == ["shop-app", "shared"]
    for n, name in enumerate(("shared", "shop-app", "shared-2")):
        folder.write(f"{name}.toml", f'app = "a"\nmount = "/{n}"\n')
    after = pools_of(text)
    assert {name: after[name] for name in before} == before
    sources = {name: os.path.basename(record["source"]) for name, record in after.items()}
    assert sources == {
        **dict.fromkeys(before, ""),
        "shared-3": "shared.toml",
        "shop-app-2": "shop-app.toml",
        "shared-2": "shared-2.toml",
    }


def test_files_of_a_pool_have_a_name_that_fits() -> None:
    assert file_name("shop") == "shop"
    names = {file_name(name) for name in ("a/b", "a\nb", "a" * 80, "a" * 81, "..", ".")}
    assert len(names) == 6
    assert all(len(name) < 40 and "/" not in name and not name.startswith(".") for name in names)


def files_of(text: str) -> dict[str, str]:
    """What the sockets of the pools of a file are called, by pool."""
    return {name: pool["file"] for name, pool in pools_of(text).items()}


def test_a_pool_has_another_socket_for_other_rows_alone() -> None:
    before = files_of(TWO)
    assert len({*before.values()}) == 2
    # Neither settings nor lines nor other pools make it another.
    again = TWO.replace("threads = 2", "threads = 4").replace("news:app", "news:other")
    assert files_of("# a comment\n" + again + '[[app]]\napp = "blog"\nmount = "/b"\nthreads = 9\n') == {
        **before,
        "blog": files_of(again + '[[app]]\napp = "blog"\nmount = "/b"\nthreads = 1\n')["blog"],
    }
    for change in (
        ('mount = "/news"', 'mount = "/old"'),
        ('"/news"', '["/news", "/old"]'),
        ('"/news"', '"/news"\nhost = "a"'),
    ):
        files = files_of(TWO.replace(*change))
        assert files["shared"] != before["shared"]
        assert files["shop.wsgi-app"] == before["shop.wsgi-app"]
    settings = settings_of(TWO)
    to = [row.action.values.get("pool_file") for row in Routes.load(settings.routes).routes]
    assert {*to} == {*before.values()}


def test_only_what_a_pool_is_served_by_makes_it_another() -> None:
    before = pools_of(TWO)
    moved = pools_of("# a comment\n" + TWO + '[[redirect]]\nmount = "/x"\nto = "/y"\n')
    assert {name: pool["digest"] for name, pool in moved.items()} == {
        name: pool["digest"] for name, pool in before.items()
    }
    changed = pools_of(TWO.replace("threads = 2", "threads = 4"))
    assert changed["shared"]["digest"] == before["shared"]["digest"]
    assert changed["shop.wsgi-app"]["digest"] != before["shop.wsgi-app"]["digest"]
    mounted = pools_of(TWO.replace('"/news"', '"/old"'))
    assert mounted["shared"]["digest"] != before["shared"]["digest"]


def test_rules_that_settings_of_a_pool_break_are_mistakes_of_the_file() -> None:
    with pytest.raises(OperatorError) as raised:
        settings_of(TWO + "workers_min = 7\n")
    assert "has to be at least workers_min" in raised.value.message


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        (TWO, "shp", 'expected one of shop.wsgi-app, shared, got "shp"'),
        ('[[app]]\napp = "a"\n', "a", 'expected none, since there are no pools, got "a"'),
    ],
)
def test_a_pool_that_there_is_none_of_is_told(text: str, name: str, sentence: str) -> None:
    with pytest.raises(OperatorError) as raised:
        settings_of(text, pool=name)
    assert raised.value.message == f"--pool on the command line: {sentence}"


class Folder:
    """A folder of applications, and the file that names it."""

    TEXT = '[routes]\napps = "apps.d"\n[[app]]\napp = "front"\n'

    def __init__(self) -> None:
        Path("apps.d").mkdir()

    def write(self, name: str, text: str, *, mode: int = 0o644) -> Path:
        path = Path("apps.d", name)
        path.write_text(text)
        path.chmod(mode)
        return path


def test_each_file_of_the_folder_is_an_application_with_a_pool() -> None:
    folder = Folder()
    assert list(pools_of(folder.TEXT)) == ["shared"]
    folder.write("blog.toml", 'app = "blog"\nmount = "/blog"\n')
    folder.write("cart.toml", 'app = "cart"\nmount = "/cart"\nname = "basket"\nthreads = 3\n')
    folder.write(".hidden.toml", "nonsense")
    folder.write("README", "nonsense")
    assert list(pools_of(folder.TEXT)) == ["blog", "basket", "shared"]
    assert settings_of(folder.TEXT, pool="basket").threads == 3


def test_a_file_that_is_touched_makes_its_pool_another() -> None:
    folder = Folder()
    path = folder.write("blog.toml", 'app = "blog"\nmount = "/blog"\n')
    before = pools_of(folder.TEXT)
    os.utime(path, (1, 1))
    after = pools_of(folder.TEXT)
    assert before["blog"]["digest"] != after["blog"]["digest"]
    assert before["shared"]["digest"] == after["shared"]["digest"]


def test_a_file_that_is_replaced_or_gets_another_mode_has_changed() -> None:
    folder = Folder()
    for name in ("a.toml", "b.toml", ".c.toml"):
        # As packages and archives make them.
        os.utime(folder.write(name, f'app = "a"\nmount = "/{name}"\n'), (1, 1))
    before = changed_ns("apps.d")
    Path("apps.d/.c.toml").replace("apps.d/a.toml")
    Path("apps.d/b.toml").chmod(0o600)
    after = changed_ns("apps.d")
    assert before.keys() == after.keys() == {"a.toml", "b.toml"}
    assert all(before[name] != after[name] for name in before)
    assert changed_ns("apps.d") == after


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("app = \n", "1:7: not TOML: invalid value"),
        ('app = "a"\nthreds = 2\n', '2:1: expected a setting of [[app]], got "threds", which is none'),
        ('mount = "/a"\n', "1:1: expected app in [[app]], got none"),
        ('app = "a"\n', "1:1: [[app]] takes / of any host, which [[app]] takes already, at portico.toml:3:1"),
        ('app = "a"\nmount = "/b"\n', "2:9: [[app]] takes /b of any host, which [[app]] takes already, at"),
        (
            'app = "a"\nmount = "/c"\nname = "b\\n[info] c"\n',
            '3:8: name: expected a name of printable characters, got "b\\n[info] c"',
        ),
        ('app = "a"\nmount = "/c"\nname = "b"\n', "3:8: name: b is the name of [[app]] at"),
        (
            'app = "a"\nmount = "/c"\nworkers = 1\nworkers_min = 2\n',
            "workers is 1 (",
        ),
    ],
)
def test_a_file_with_a_mistake_is_left_out_and_the_others_are_served(text: str, sentence: str) -> None:
    folder = Folder()
    folder.write("b.toml", 'app = "b"\nmount = "/b"\n')
    folder.write("c.toml", text)
    found = left_out_of(folder.TEXT)
    assert len(found) == 1
    assert sentence in found[0]
    assert "c.toml" in found[0]
    assert list(pools_of(folder.TEXT)) == ["b", "shared"]


@pytest.mark.parametrize("name", [b"\xff.toml", b"a\nb.toml", "a\u202eb.toml".encode()])
def test_a_file_whose_name_cannot_be_printed_is_left_out(name: bytes) -> None:
    folder = Folder()
    folder.write("b.toml", 'app = "b"\nmount = "/b"\n')
    folder.write(os.fsdecode(name), 'app = "c"\nmount = "/c"\n')
    [found] = left_out_of(folder.TEXT)
    assert found.isprintable()
    assert "expected a name of printable characters, got " in found
    assert list(pools_of(folder.TEXT)) == ["b", "shared"]


def test_without_the_folder_nothing_is_served() -> None:
    with pytest.raises(OperatorError) as raised:
        settings_of('[routes]\napps = "apps.d"\n')
    place = "portico.toml:2:8: apps: expected a folder"
    assert raised.value.message == f'{place}, got "{os.getcwd()}/apps.d": No such file or directory'


class Owned(Folder):
    """One whose applications run as the owners of their files."""

    TEXT = Folder.TEXT.replace("[[app]]", "apps_as_owner = true\n[[app]]")


@ROOT
def test_an_application_runs_as_the_owner_of_its_file() -> None:
    folder = Owned()
    os.chown(folder.write("blog.toml", 'app = "blog"\nmount = "/blog"\n'), 33, 33)
    settings = settings_of(folder.TEXT, pool="blog")
    assert settings.user == pwd.getpwuid(33).pw_name
    assert pools_of(folder.TEXT)["blog"]["is_own_user"]
    assert left_out_of(folder.TEXT) == []


@ROOT
@pytest.mark.parametrize(
    ("text", "owner", "mode", "sentence"),
    [
        ("", 33, 0o664, "expected a file that its owner alone may write, got mode 664"),
        ("", 0, 0o644, "expected user in a file that is root's, got none"),
        ('user = "root"\n', 33, 0o644, "user: expected none, since www-data owns the file"),
        ('group = "root"\n', 33, 0o644, "group: expected none, since www-data owns the file"),
        # The router reads it, for whoever asks.
        (
            'error_pages = { 503 = "/etc/passwd" }\n',
            33,
            0o644,
            "error_pages: expected none, since www-data owns the file",
        ),
    ],
)
def test_a_file_that_somebody_else_may_have_written_is_left_out(
    text: str, owner: int, mode: int, sentence: str
) -> None:
    folder = Owned()
    os.chown(folder.write("a.toml", f'app = "a"\nmount = "/a"\n{text}', mode=mode), owner, owner)
    [found] = left_out_of(folder.TEXT)
    assert sentence in found


def test_a_link_has_no_owner_to_run_as() -> None:
    folder = Owned()
    Path("a.toml").write_text('app = "a"\nmount = "/a"\n')
    Path("apps.d", "a.toml").symlink_to("../a.toml")
    [found] = left_out_of(folder.TEXT)
    assert found.endswith("a.toml: expected a file, got a link, of which anybody may be the owner")


@ROOT
def test_a_pool_in_a_virtual_environment_is_its_user_altogether() -> None:
    pools = pools_of(
        TWO + 'user = "www-data"\n[[app]]\napp = "b"\nmount = "/b"\nvenv = "v"\nuser = "www-data"\n'
    )
    assert {name: pool["is_own_user"] for name, pool in pools.items()} == {
        "shop.wsgi-app": False,
        "b": True,
        "shared": False,
    }
