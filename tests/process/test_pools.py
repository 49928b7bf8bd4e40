"""Several pools behind one server: each application in processes of its own, and none hurts another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from portico.ctl.connection import ask
from support.everybodys_python import find_everybodys_python, import_path
from support.processes import children, is_alive
from support.server import free_port
from support.waiting import wait_until

from .conftest import Portico, Start, read_body

SAYS = """
import json, os, sys, threading
if os.environ.get("WHO") == "nobody":
    raise RuntimeError("on purpose")
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/wait":
        open("waits", "w").close()
        while not os.path.exists("go"):
            threading.Event().wait(0.01)
    if path == "/raise":
        raise RuntimeError("on purpose")
    start_response("200 OK", [("Content-Type", "application/json")])
    keys = ("SCRIPT_NAME", "PATH_INFO", "HTTP_HOST", "REMOTE_ADDR", "wsgi.url_scheme", "REQUEST_METHOD")
    said = {key: environ[key] for key in keys}
    said |= {"who": os.environ.get("WHO", ""), "pid": os.getpid(), "parent": os.getppid()}
    said |= {"uid": os.geteuid(), "prefix": sys.prefix, "body": len(environ["wsgi.input"].read())}
    said["parent_uid"] = os.stat(f"/proc/{os.getppid()}").st_uid
    return [json.dumps(said).encode()]
"""
FILE = """
[processes]
workers = 1
[routes]
workers = 1
[[app]]
app = "front"
[[app]]
app = "news"
mount = "/news"
[[app]]
app = "shop"
mount = "/shop"
threads = 2
env = { WHO = "the shop" }
[[respond]]
path = "/robots.txt"
body = "none"
"""


class Several:
    """A folder with applications, and the server of its portico.toml, with a run directory of its own."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        for name in ("front", "news", "shop", "blog"):
            (folder / f"{name}.py").write_text(SAYS)
        self.port = free_port()
        self.options = options
        self.words: tuple[str, ...] = ()
        self.portico: Portico | None = None

    def write(self, text: str) -> None:
        address = f'[listening]\nbind = ["127.0.0.1:{self.port}"]\n'
        (self.folder / "portico.toml").write_text(address + text, "utf-8")

    def start(self, text: str, *, waits_for: tuple[str, ...] = ()) -> Portico:
        self.write(text)
        self.portico = Portico(self.folder, "", self.words, port=self.port, reads_file=True, **self.options)
        self.portico.wait_ready()
        for name in waits_for:
            self.wait_for_state(name, "serving")
        return self.portico

    @property
    def running(self) -> Portico:
        assert self.portico is not None
        return self.portico

    def says(self, path: str, **headers: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body(path, **headers))
        return found

    def body(self, path: str, **headers: str) -> str:
        with self.ask(path, **headers) as connection:
            return read_body(connection)

    def status(self, path: str) -> int:
        with self.ask(path) as connection:
            return int(connection.recv(65536).split()[1])

    def ask(self, path: str, **headers: str) -> Any:
        fields = {"Host": "test", "Connection": "close", **headers}
        connection = self.running.connect()
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        connection.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
        return connection

    def ctl(self, *words: str, fails: bool = False) -> str:
        command = [sys.executable, "-m", "portico", "ctl", *words, "--socket", self.control]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60)
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def control(self) -> str:
        directory = "/run/portico" if os.geteuid() == 0 else self.run_directory
        return f"{directory}/router-{self.running.process.pid}.sock"

    @property
    def run_directory(self) -> str:
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        return f"{runtime}/portico" if runtime else f"/tmp/portico-{os.geteuid()}"

    def pools(self) -> dict[str, dict[str, Any]]:
        return {pool["name"]: pool for pool in ask(self.control, "status", timeout_s=10)["pools"]}

    def wait_for_state(self, name: str, state: str) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            pool = self.pools().get(name)
            return pool if pool is not None and pool["state"] == state else None

        found_pool = wait_until(found, what=f"pool {name} to be {state}", deadline_s=30)
        assert found_pool is not None
        return found_pool

    def kill(self) -> None:
        if self.portico is None:
            return
        pools = [pid for pid in children(self.portico.process.pid) if children(pid)]
        self.portico.kill()
        wait_until(lambda: not any(map(is_alive, pools)), what="the pools to have gone", deadline_s=20)


@pytest.fixture
def several(tmp_path: Path) -> Iterator[Several]:
    made = Several(tmp_path)
    yield made
    made.kill()


def test_each_pool_serves_its_applications_as_without_a_router(several: Several) -> None:
    portico = several.start(FILE, waits_for=("shared", "shop"))
    front, news = several.says("/a"), several.says("/news/b")
    shop = several.says("/shop/c%20d", X_Forwarded_For="203.0.113.7", X_Forwarded_Proto="https")
    assert (front["pid"], front["who"]) == (news["pid"], "")
    assert (shop["who"], shop["SCRIPT_NAME"], shop["PATH_INFO"]) == ("the shop", "/shop", "/c d")
    assert (news["SCRIPT_NAME"], news["PATH_INFO"], news["HTTP_HOST"]) == ("/news", "/b", "test")
    assert (shop["REMOTE_ADDR"], shop["wsgi.url_scheme"]) == ("203.0.113.7", "https")
    assert (front["REMOTE_ADDR"], front["wsgi.url_scheme"]) == ("127.0.0.1", "http")
    assert several.body("/robots.txt") == "none"
    assert several.status("/shop/raise") == 500
    # Each pool is a portico, and the first one's workers have none of the applications.
    assert shop["pid"] != front["pid"]
    assert not {front["pid"], shop["pid"]} & {*children(portico.process.pid)}
    assert {front["parent"], shop["parent"]} == {pool["pid"] for pool in several.pools().values()}
    assert "threads of" not in portico.log()
    assert f" {shop['pid']} " in several.ctl("workers", "--pool", "shop").replace("\n", " ")
    assert 'expected one of shop, shared, got "shp"' in several.ctl("workers", "--pool", "shp", fails=True)
    # The end: the router first, so that who is served is served to the end.
    with several.ask("/shop/wait") as waiting:
        wait_until((several.folder / "waits").exists, what="the call")
        portico.signal(signal.SIGTERM)
        portico.wait_for("stopping after the requests in flight")
        wait_until(lambda: is_refused(portico), what="the end of accepting")
        assert portico.log().count("stopping after the requests in flight") == 1
        (several.folder / "go").touch()
        assert json.loads(read_body(waiting))["who"] == "the shop"
    assert portico.wait() == 0
    assert not any(is_alive(said[key]) for said in (front, shop) for key in ("pid", "parent"))


def is_refused(portico: Portico) -> bool:
    try:
        portico.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_reload_changes_the_pool_that_has_changed_and_no_other(several: Several) -> None:
    portico = several.start(FILE, waits_for=("shared", "shop"))
    front, shop = several.says("/"), several.says("/shop/")
    several.write(FILE.replace("the shop", "another"))
    several.ctl("reload")
    assert several.says("/")["pid"] == front["pid"]
    changed = several.says("/shop/")
    assert (changed["who"], changed["parent"]) == ("another", shop["parent"])
    assert changed["pid"] != shop["pid"]
    # What cannot be loaded: the others go on, and so does this one as it was.
    several.write(FILE.replace("the shop", "nobody"))
    assert "but for shop;" in several.ctl("reload", fails=True)
    assert several.says("/shop/")["pid"] == changed["pid"]
    # A mistake: nothing changes.
    several.write(FILE.replace("threads = 2", "threads = 0"))
    assert "expected a whole number from 1" in several.ctl("reload", fails=True)
    assert several.says("/shop/")["pid"] == changed["pid"]
    # A pool that is new, and one that goes.
    blog = '[[app]]\napp = "blog"\nmount = "/blog"\nthreads = 3\n'
    without_shop = FILE.replace(FILE[FILE.index('[[app]]\napp = "shop"') : FILE.index("[[respond]]")], blog)
    several.write(without_shop)
    several.ctl("reload")
    assert several.says("/blog/")["SCRIPT_NAME"] == "/blog"
    assert several.says("/shop/")["SCRIPT_NAME"] == ""
    assert several.says("/")["pid"] == front["pid"]
    wait_until(lambda: not is_alive(changed["parent"]), what="the pool to have gone")
    # One application again, without a router.
    several.write('[[app]]\napp = "front"\n')
    several.ctl("reload")
    wait_until(lambda: several.says("/")["parent"] == portico.process.pid, what="no router")
    wait_until(lambda: not is_alive(front["parent"]), what="all pools to have gone")


def test_a_pool_that_cannot_start_hurts_no_other_and_is_tried_again(several: Several) -> None:
    (several.folder / "shop.py").write_text("raise RuntimeError('on purpose')")
    portico = several.start(FILE, waits_for=("shared",))
    pool = several.wait_for_state("shop", "failing")
    assert pool["why"] == "its application cannot be loaded: the error log says what is wrong"
    assert "RuntimeError: on purpose" in portico.log()
    sentence = "pool shop cannot serve: its application cannot be loaded, as the log says above; the next one"
    assert sentence in portico.log()
    assert several.status("/shop/") == 503
    assert several.status("/news/") == 200
    said = several.ctl("status")
    assert "shop: failing, " in said
    assert "its application cannot be loaded: the error log says what is wrong\n" in said
    (several.folder / "shop.py").write_text(SAYS)
    several.wait_for_state("shop", "serving")
    assert several.says("/shop/")["who"] == "the shop"
    # What was served and is killed comes back by itself, and nobody is turned away meanwhile.
    os.kill(several.says("/shop/")["parent"], signal.SIGKILL)
    assert several.says("/shop/")["who"] == "the shop"


def test_an_application_that_moves_to_a_pool_is_served_by_the_one_before_until_then(several: Several) -> None:
    own = FILE.replace('mount = "/news"', 'mount = "/news"\nthreads = 2')
    several.start(own, waits_for=("shared", "news", "shop"))
    news = several.says("/news/")
    (several.folder / "front.py").write_text(
        "import os, time\n"
        'open("loads", "w").close()\n'
        "parent = os.getppid()\n"
        'while not os.path.exists("go") and os.getppid() == parent:\n'
        f"    time.sleep(0.01)\n{SAYS}"
    )
    several.write(FILE)
    several.running.signal(signal.SIGHUP)
    wait_until((several.folder / "loads").exists, what="the shared pool to load all applications anew")
    assert several.says("/news/") == news
    (several.folder / "go").touch()
    wait_until(lambda: not is_alive(news["parent"]), what="its own pool to have gone")
    moved = several.says("/news/")
    assert (moved["SCRIPT_NAME"], moved["parent"]) == ("/news", several.says("/")["parent"])


def test_an_application_that_leaves_a_pool_is_served_there_while_routers_ask_for_it(several: Several) -> None:
    portico = several.start(FILE, waits_for=("shared", "shop"))
    shared = several.says("/news/")["parent"]
    with several.ask("/shop/wait") as waiting:
        wait_until((several.folder / "waits").exists, what="a request that the router of before has")
        several.write(FILE.replace('mount = "/news"', 'mount = "/news"\nthreads = 2'))
        portico.signal(signal.SIGHUP)
        several.wait_for_state("news", "serving")
        wait_until(lambda: several.says("/news/")["parent"] != shared, what="the router to ask its own pool")
        # By now somebody else serves what is left of it; that router may still ask for all of it.
        assert several.says("/")["parent"] != shared
        assert is_alive(shared)
        assert "the one before leaves" not in portico.log()
        (several.folder / "go").touch()
        read_body(waiting)
    portico.wait_for("pool shared: the new process serves, the one before leaves")
    wait_until(lambda: not is_alive(shared), what="the process of before to have gone")


SLOW = """
import os, time
open(f"starts-{os.environ['N']}", "w").close()
parent = os.getppid()
while not os.path.exists(f"go-{os.environ['N']}"):
    time.sleep(0.01)
    # The test has ended before it came to that.
    if os.getppid() != parent:
        os._exit(1)
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ["N"].encode()]
"""


def test_a_few_pools_start_at_a_time_in_their_order_and_first_who_is_asked_for(several: Several) -> None:
    (several.folder / "slow.py").write_text(SLOW)
    apps = [
        f'[[app]]\napp = "slow"\nname = "n{n}"\nmount = "/{n}"\nenv = {{ N = "{n}" }}\n' for n in range(5)
    ]
    several.start("[processes]\nworkers = 1\n[routes]\nworkers = 1\nstarts_at_once = 2\n" + "".join(apps))

    def started() -> list[int]:
        return [n for n in range(5) if (several.folder / f"starts-{n}").exists()]

    wait_until(lambda: started() == [0, 1], what="the first two to start")
    assert [several.pools()[f"n{n}"]["state"] for n in range(5)] == ["starting"] * 2 + ["waiting"] * 3
    assert "the pool n4 cannot be asked: it waits for its turn to start" in several.ctl(
        "status", "--pool", "n4", fails=True
    )
    # A request waits for the last of them, which goes before those that nobody wants.
    with several.ask("/4") as waiting:
        (several.folder / "go-1").touch()
        wait_until(lambda: started() == [0, 1, 4], what="the one that is asked for to start")
        (several.folder / "go-4").touch()
        assert read_body(waiting) == "4"
    wait_until(lambda: started() == [0, 1, 2, 4], what="the next to start")
    for n in range(5):
        (several.folder / f"go-{n}").touch()
    assert [several.body(f"/{n}") for n in range(5)] == list("01234")
    # A change of all of them is made in turn, too.
    for n in range(5):
        (several.folder / f"go-{n}").unlink()
        (several.folder / f"starts-{n}").unlink()
    several.write(
        "[processes]\nworkers = 1\nthreads = 3\n[routes]\nworkers = 1\nstarts_at_once = 2\n" + "".join(apps)
    )
    several.running.signal(signal.SIGHUP)
    wait_until(lambda: started() == [0, 1], what="the first two to reload")
    assert several.running.log().count("has changed: it reloads") == 2
    for n in range(5):
        (several.folder / f"go-{n}").touch()
    wait_until(lambda: started() == list(range(5)), what="all to reload", deadline_s=30)


def test_who_takes_long_to_start_keeps_the_others_waiting_for_a_moment_only(several: Several) -> None:
    (several.folder / "slow.py").write_text(SLOW)
    several.start(
        "[processes]\nworkers = 1\n[routes]\nworkers = 1\nstarts_at_once = 1\n"
        '[[app]]\napp = "slow"\nname = "slow"\nmount = "/slow"\nenv = { N = "0" }\n'
        '[[app]]\napp = "front"\n'
    )
    several.wait_for_state("shared", "serving")
    assert several.pools()["slow"]["state"] == "starting"
    (several.folder / "go-0").touch()
    several.wait_for_state("slow", "serving")


def test_a_pool_that_sleeps_has_no_process_until_somebody_asks(several: Several) -> None:
    several.start(
        "[processes]\nworkers = 1\n[routes]\nworkers = 1\n"
        '[[app]]\napp = "front"\n'
        '[[app]]\napp = "shop"\nmount = "/shop"\nworkers_min = 0\nidle_timeout = "1s"\n',
        waits_for=("shared",),
    )
    pool = several.pools()["shop"]
    assert (pool["state"], pool["pid"], pool["workers"]) == ("asleep", None, 0)
    first = several.says("/shop/")
    several.wait_for_state("shop", "asleep")
    wait_until(lambda: not is_alive(first["parent"]), what="its supervisor to have gone")
    second = several.says("/shop/")
    assert second["parent"] != first["parent"]
    # A rest is not a sleep.
    several.ctl("drain", "--pool", "shop")
    wait_until(lambda: not is_alive(second["pid"]), what="its worker to have gone")
    assert is_alive(second["parent"])


def test_a_killed_server_leaves_no_pool_behind(several: Several) -> None:
    portico = several.start(FILE, waits_for=("shared", "shop"))
    pids = [several.says(path)[key] for path in ("/", "/shop/") for key in ("pid", "parent")]
    portico.process.kill()
    portico.process.wait()
    wait_until(lambda: not any(map(is_alive, pids)), what="all pools to have gone")
    assert "the server of all pools has gone: this one stops" in portico.log()


def test_pools_stay_through_an_upgrade_and_are_upgraded_too(several: Several) -> None:
    portico = several.start(FILE, waits_for=("shared", "shop"))
    before = several.says("/shop/")
    several.ctl("upgrade")
    portico.wait_for("upgraded from portico", times=3)
    wait_until(lambda: several.says("/shop/")["pid"] != before["pid"], what="new workers of the pool")
    assert several.says("/shop/")["parent"] == before["parent"]
    several.wait_for_state("shop", "serving")
    portico.stop()
    assert not is_alive(before["parent"])


def test_files_of_a_folder_are_served_as_they_come_and_go(several: Several) -> None:
    applications = several.folder / "apps.d"
    applications.mkdir()
    portico = several.start('[processes]\nworkers = 1\n[routes]\nworkers = 1\napps = "apps.d"\n')
    assert several.status("/blog/") == 404
    file = applications / "blog.toml"
    file.write_text('app = "blog"\nchdir = ".."\nmount = "/blog"\n')
    wait_until(lambda: several.status("/blog/") == 200, what="the application to be served")
    first = several.says("/blog/")
    # Touched: it reloads.
    os.utime(file)
    wait_until(lambda: several.says("/blog/")["pid"] != first["pid"], what="a reload")
    assert several.says("/blog/")["parent"] == first["parent"]
    # With a mistake it goes on as it was, and others come.
    file.write_text('app = "blog"\nmont = "/blog"\n')
    (applications / "shop.toml").write_text('app = "shop"\nchdir = ".."\nmount = "/shop"\n')
    wait_until(lambda: several.status("/shop/") == 200, what="the other application to be served")
    assert 'blog.toml:2:1: expected a setting of [[app]], got "mont"' in portico.log()
    assert "pool blog goes on as it was" in portico.log()
    assert several.says("/blog/")["parent"] == first["parent"]
    # Removed: it is drained.
    file.unlink()
    wait_until(lambda: several.status("/blog/") == 404, what="the application to be gone")
    wait_until(lambda: not is_alive(first["parent"]), what="its pool to have ended")
    assert several.status("/shop/") == 200


def test_a_trial_fails_where_an_application_file_is_left_out(several: Several) -> None:
    applications = several.folder / "apps.d"
    applications.mkdir()
    (applications / "blog.toml").write_text('app = "blog"\nchdir = ".."\nmount = "/blog"\n')
    several.write('[routes]\napps = "apps.d"\n')
    command = [sys.executable, "-m", "portico", "check"]

    def checked() -> tuple[int, str, str]:
        done = subprocess.run(command, cwd=several.folder, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    code, fine, wrong = checked()
    assert code == 0, wrong
    (applications / "news.toml").write_text('app = "news"\nmont = "/news"\n')
    code, _, wrong = checked()
    assert code == 2
    sentence = 'news.toml:2:1: expected a setting of [[app]], got "mont", which is none'
    assert wrong.count(sentence) == 1
    assert "this application is left out" in wrong
    assert "pool blog" in fine


def test_a_pool_has_the_python_of_its_virtual_environment(several: Several) -> None:
    for name in ("with", "without"):
        venv.create(several.folder / name, symlinks=True, with_pip=False)
    [packages] = (several.folder / "with").glob("lib/python*/site-packages")
    (packages / "all.pth").write_text("\n".join(filter(None, sys.path)) + "\n")
    several.options = {"environment": {"PYTHONPATH": ""}, "program": in_other_path(several.folder)}
    text = FILE.replace("threads = 2", 'venv = "with"')
    portico = several.start(text, waits_for=("shared", "shop"))
    assert several.says("/shop/")["prefix"] == str(several.folder / "with")
    assert several.says("/")["prefix"] == sys.prefix
    # Another Python takes another process, which has the place of the one before once it serves.
    before = several.says("/shop/")
    several.write(text.replace('"with"', '"without"'))
    said = several.ctl("reload", fails=True)
    assert "all is as configured but for shop; the error log says why" in said
    assert "has no portico that can be imported" in portico.log()
    assert several.says("/shop/")["pid"] == before["pid"]
    assert several.pools()["shop"]["why"].startswith("as it was: the last change could not be made")
    several.write(text.replace('venv = "with"', "threads = 3"))
    several.ctl("reload")
    assert several.says("/shop/")["prefix"] == sys.prefix


def in_other_path(folder: Path) -> tuple[str, ...]:
    """How to call portico where it is not imported by a variable that virtual environments would see."""
    script = folder / "serve.py"
    script.write_text(f"import sys\nsys.path[:] = {sys.path!r}\nfrom portico.cli import main\nmain()\n")
    return (sys.executable, str(script))


PYTHON = find_everybodys_python()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(not PYTHON, reason="no Python here can be run by other users than root")
def test_pools_are_users_of_their_own_and_files_their_owners() -> None:
    with tempfile.TemporaryDirectory(prefix="portico-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        several = Several(
            folder, program=(PYTHON, "-m", "portico"), environment={"PYTHONPATH": import_path()}
        )
        (folder / "apps.d").mkdir()
        file = folder / "apps.d" / "blog.toml"
        file.write_text('app = "blog"\nchdir = ".."\nmount = "/blog"\n')
        os.chown(file, 33, 33)
        text = FILE.replace("[routes]", '[routes]\napps = "apps.d"\napps_as_owner = true')
        try:
            several.start(
                text.replace("threads = 2", 'user = "nobody"'), waits_for=("shared", "shop", "blog")
            )
            shop, blog = several.says("/shop/"), several.says("/blog/")
            assert (shop["uid"], shop["parent_uid"]) == (65534, 0)
            assert (blog["uid"], blog["parent_uid"]) == (33, 33)
            assert several.says("/")["uid"] == 0
            assert str(blog["pid"]) in several.ctl("workers", "--pool", "blog")
            os.utime(file)
            wait_until(lambda: several.says("/blog/")["parent"] != blog["parent"], what="a new process")
            assert several.says("/blog/")["uid"] == 33
        finally:
            several.kill()


def test_one_pool_can_be_served_and_tried_by_hand(several: Several) -> None:
    several.write(FILE.replace('app = "front"', 'app = "nothing"'))

    def check(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "portico", "check", *words]
        return subprocess.run(command, cwd=several.folder, capture_output=True, text=True, timeout=60)

    done = check()
    assert done.returncode == 3
    assert "pool shared: cannot load news, nothing: no module named nothing" in done.stderr
    done = check("--pool", "shop")
    assert (done.returncode, done.stdout) == (0, "shop:application can be called\n")
    portico = Portico(several.folder, "", ("--pool", "shop"), port=several.port, reads_file=True)
    several.portico = portico
    portico.wait_ready()
    assert several.says("/shop/")["parent"] == portico.process.pid
    assert several.status("/news/") == 404
    portico.stop()


def test_a_server_without_pools_has_nothing_of_them(start: Start) -> None:
    portico = start(
        "import sys\ndef application(environ, start_response):\n"
        "    start_response('200 OK', [])\n    return [' '.join(sys.modules).encode()]\n",
        *("-w", "1"),
    )
    portico.wait_ready()
    modules = portico.get().split()
    assert "portico.process.supervisor" in modules
    assert not [name for name in modules if "pool" in name]
