"""`portico ctl upstream`: members that come, drain and go while requests do; workers that come later know."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.members import NamedMember
from support.pages import DOCS, blocks_of
from support.raw_client import Connection
from support.server import free_port
from support.waiting import wait_until

from .conftest import Portico, Start
from .test_control import ask_on, ctl

SHOP = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
_PATIENCE_S = 20.0


class Balanced:
    """A server with `[[upstream]]`, its members, and its control socket."""

    def __init__(self, start: Start, folder: Path, members: list[NamedMember]) -> None:
        self._start = start
        self.folder = folder
        self.members = members
        self.path = str(folder / "c.sock")
        self.portico: Portico

    def write(self, *to: str, more: str = "", name: str = 'name = "up"') -> None:
        urls = json.dumps(to or [member.url for member in self.members])
        text = f'[[upstream]]\n{name}\nmount = "/up"\nto = {urls}\nkeep_timeout = 60\n{more}\n'
        (self.folder / "portico.toml").write_text(text)

    def start(
        self,
        *to: str,
        options: tuple[str, ...] = ("-w", "2"),
        more: str = "",
        program: Sequence[str] = (sys.executable, "-m", "portico"),
        **others: Any,
    ) -> Portico:
        self.write(*to, more=more, **others)
        self.portico = self._start(SHOP, "--control", self.path, *options, program=program)
        self.portico.wait_ready()
        return self.portico

    def ask(self, verb: str, **fields: Any) -> Any:
        """The result of a verb; the whole response if it is an error."""
        with self.connect() as connection:
            response = ask_on(connection, verb, **fields)
        return response["result"] if response["ok"] else response

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_PATIENCE_S)
        connection.connect(self.path)
        return connection

    def change(self, what: str, member: NamedMember | str, upstream: str = "up", **fields: Any) -> Any:
        url = member if isinstance(member, str) else member.url
        return self.ask(f"upstream-{what}", upstream=upstream, member=url, **fields)

    def listed(self, *keys: str) -> dict[str, Any]:
        """What `list` says of each member of the only upstream."""
        [upstream] = self.ask("upstream")["upstreams"]
        names = {member.url: member.name for member in self.members}
        return {
            names.get(each["member"], each["member"]): tuple(each[key] for key in keys)
            for each in upstream["members"]
        }

    def asked(self, count: int = 24, path: str = "/up") -> Counter[str]:
        """Who responds to so many requests, each on a connection of its own: so both workers are asked."""
        return Counter(self.portico.get(path) for _ in range(count))

    def hold(self) -> socket.socket:
        return self.portico.ask("/up/hold")


@pytest.fixture
def balanced(start: Start, tmp_path: Path) -> Iterator[Balanced]:
    members = [NamedMember(name) for name in ("one", "two", "three")]
    yield Balanced(start, tmp_path, members)
    for member in members:
        member.go_on.set()
        member.close()


def read_name(connection: socket.socket) -> str:
    received = b""
    with connection:
        while data := connection.recv(4096):
            received += data
    return received.partition(b"\r\n\r\n")[2].decode()


# --- What members get


def test_a_member_that_is_added_gets_its_share_of_all_workers(balanced: Balanced) -> None:
    one, two, three = balanced.members
    balanced.start(one.url, two.url)
    assert {*balanced.asked()} == {"one", "two"}
    assert balanced.change("add", three, weight=2) == {"upstream": "up", "member": three.url, "state": "up"}
    said = balanced.listed("state", "weight", "workers", "from")
    assert said == {
        "one": ("up", 1, {"up": 2}, "configuration"),
        "two": ("up", 1, {"up": 2}, "configuration"),
        "three": ("up", 2, {"up": 2}, "control"),
    }
    before = balanced.listed("requests")
    # Whichever worker has how many of them: each gives its own by weight, and begins in the middle of a turn.
    balanced.asked(40)
    shares = {name: now[0] - before[name][0] for name, now in balanced.listed("requests").items()}
    assert sum(shares.values()) == 40
    assert abs(shares["three"] - 20) <= 4
    assert balanced.portico.log().count(f"control: upstream add up {three.url} 2") == 1


def test_a_drained_member_gets_nothing_new_and_ends_what_it_has(balanced: Balanced) -> None:
    one, two, _ = balanced.members
    balanced.start(one.url, two.url, options=("-w", "1"))
    held = [balanced.hold(), balanced.hold()]
    for member in (one, two):
        member.held.get(timeout=_PATIENCE_S)
    with balanced.connect() as waiting:
        waiting.settimeout(0.3)
        with pytest.raises(TimeoutError):
            ask_on(waiting, "upstream-drain", upstream="up", member=one.url)
        assert balanced.listed("state", "in_flight") == {"one": ("draining", 1), "two": ("up", 1)}
        assert balanced.asked() == {"two": 24}
        one.go_on.set()
        waiting.settimeout(_PATIENCE_S)
        response = json.loads(waiting.recv(65536))
        assert response["result"] == {"upstream": "up", "member": one.url, "state": "draining"}
    two.go_on.set()
    assert sorted(read_name(each) for each in held) == ["one", "two"]
    assert balanced.listed("state", "in_flight", "failures") == {
        "one": ("draining", 0, 0),
        "two": ("up", 0, 0),
    }


def test_a_drained_member_is_taken_back(balanced: Balanced) -> None:
    one, two, _ = balanced.members
    balanced.start(one.url, two.url)
    balanced.change("drain", one)
    # Twice is once.
    balanced.change("drain", one)
    assert balanced.asked() == {"two": 24}
    balanced.change("add", one)
    assert {*balanced.asked()} == {"one", "two"}
    balanced.change("drain", one)
    balanced.change("add", one, weight=7)
    assert balanced.listed("state", "weight") == {"one": ("up", 7), "two": ("up", 1)}


@pytest.mark.parametrize("what", ["drain", "remove"])
def test_affinity_goes_elsewhere_and_comes_back(balanced: Balanced, what: str) -> None:
    balanced.start(more='balance = "header:X-User"')

    def homes() -> dict[int, str]:
        with Connection(("127.0.0.1", balanced.portico.port)) as connection:
            return {
                user: connection.request("/up", headers=(f"X-User: {user}",)).body.decode()
                for user in range(30)
            }

    before = homes()
    assert {*before.values()} == {"one", "two", "three"}
    balanced.change(what, balanced.members[0])
    during = homes()
    assert {*during.values()} == {"two", "three"}
    assert all(during[user] == home for user, home in before.items() if home != "one")
    balanced.change("add", balanced.members[0])
    assert homes() == before


def test_a_removed_member_ends_what_it_has_and_is_gone(balanced: Balanced) -> None:
    one, two, _ = balanced.members
    balanced.start(one.url, two.url, options=("-w", "1"))
    held = [balanced.hold(), balanced.hold()]
    for member in (one, two):
        member.held.get(timeout=_PATIENCE_S)
    balanced.change("remove", one, wait=False)
    wait_until(lambda: balanced.listed("state")["one"] == ("leaving",), what="the order to be taken")
    assert balanced.asked() == {"two": 24}
    one.go_on.set()
    # Waits for those of before, although it is none any more.
    two.go_on.set()
    assert sorted(read_name(each) for each in held) == ["one", "two"]
    wait_until(lambda: [*balanced.listed("state")] == ["two"], what="the end of the last request")


def test_the_last_member_may_be_removed(balanced: Balanced) -> None:
    one, two, _ = balanced.members
    portico = balanced.start(one.url)
    balanced.change("remove", one)
    with portico.ask("/up") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 503 ")
    assert balanced.listed("state") == {}
    assert ctl("upstream", "--socket", balanced.path, folder=balanced.folder).stdout == "up has no members\n"
    assert portico.get("/").isdigit()
    balanced.change("add", two)
    assert balanced.asked() == {"two": 24}


def test_no_request_is_lost_whatever_comes_and_goes(balanced: Balanced) -> None:
    one, two, three = balanced.members
    portico = balanced.start(one.url, two.url)
    ends, failures, done = threading.Event(), [], []

    def load() -> None:
        while not ends.is_set():
            with Connection(("127.0.0.1", portico.port)) as connection:
                is_kept = True
                while is_kept and not ends.is_set():
                    response = connection.request("/up", body=b"abc", method="POST")
                    is_kept = response.get("connection") != "close"
                    done.append(response.body)
                    if response.status != 200:
                        failures.append(response)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(15):
        balanced.change("add", three)
        balanced.change("drain", one)
        balanced.change("remove", two)
        seen = len(done)
        wait_until(lambda seen=seen: len(done) > seen + 20, what="requests")  # type: ignore[misc]
        balanced.change("add", two)
        balanced.change("remove", three)
        balanced.change("add", one)
    ends.set()
    for thread in threads:
        thread.join(_PATIENCE_S)
    assert failures == []
    assert {*done} == {b"one", b"two", b"three"}
    assert {each for (each,) in balanced.listed("failures").values()} == {0}


# --- Names


def test_an_address_of_a_name_is_drained_and_taken_back(balanced: Balanced) -> None:
    one, two, _ = balanced.members
    name = f"http://localhost:{one.port}"
    balanced.start(name, two.url)
    assert balanced.listed("state", "from") == {"one": ("up", name), "two": ("up", "configuration")}
    balanced.change("drain", one)
    assert balanced.asked() == {"two": 24}
    assert balanced.listed("state") == {"one": ("draining",), "two": ("up",)}
    balanced.change("add", one)
    assert {*balanced.asked()} == {"one", "two"}
    balanced.change("remove", one)
    assert balanced.asked() == {"two": 24}
    balanced.change("add", one)
    assert {*balanced.asked()} == {"one", "two"}
    # All addresses of it.
    balanced.change("drain", name)
    assert balanced.asked() == {"two": 24}
    balanced.change("add", name)
    assert {*balanced.asked()} == {"one", "two"}
    assert "it has no members" not in balanced.portico.log()


def test_a_name_is_added_and_removed(balanced: Balanced) -> None:
    one, two, _ = balanced.members
    balanced.start(one.url)
    name = f"http://localhost:{two.port}"
    balanced.change("add", name, weight=3)
    wait_until(
        lambda: balanced.listed("state", "workers").get("two") == ("up", {"up": 2}), what="the look-up"
    )
    assert balanced.listed("weight", "from")["two"] == (3, name)
    said = balanced.change("add", two)
    assert said["message"] == f"member: expected one that up does not have yet, got {two.url}"
    balanced.change("remove", name)
    assert balanced.listed("state") == {"one": ("up",)}
    assert balanced.asked() == {"one": 24}


# --- Workers that come later


def test_workers_that_come_later_know(balanced: Balanced) -> None:
    one, _, three = balanced.members
    portico = balanced.start(one.url, balanced.members[1].url)
    balanced.change("drain", one)
    balanced.change("add", three)
    balanced.change("remove", balanced.members[1])
    pid = portico.worker_pids[0]
    os.kill(pid, signal.SIGKILL)
    balanced.ask("scale", workers=3)
    wait_until(lambda: balanced.ask("status")["workers"]["ready"] == 3, what="three workers")
    assert pid not in portico.worker_pids
    expected = {"one": ("draining", {"draining": 3}), "three": ("up", {"up": 3})}
    assert balanced.listed("state", "workers") == expected
    assert balanced.asked() == {"three": 24}


@pytest.mark.parametrize("options", [("-w", "2"), ("-w", "2", "--preload")], ids=["forked", "template"])
def test_a_reload_keeps_them_as_long_as_the_row_names_the_same_servers(
    balanced: Balanced, options: tuple[str, ...]
) -> None:
    one, two, three = balanced.members
    balanced.start(one.url, two.url, options=options)
    balanced.change("drain", one)
    balanced.change("add", three, weight=5)
    balanced.write(one.url, two.url, more="retries = 1\n[[redirect]]\nmount = '/old'\nto = '/up'")
    assert balanced.ask("reload") == {"generation": 2}
    expected = {"one": ("draining", 1), "two": ("up", 1), "three": ("up", 5)}
    assert balanced.listed("state", "weight") == expected
    assert {*balanced.asked()} == {"two", "three"}
    # The file has the same now, so it counts again.
    balanced.write(two.url, three.url)
    assert balanced.ask("reload") == {"generation": 3}
    assert "upstream up: its row has another `to` or is gone" in balanced.portico.log()
    assert balanced.listed("state", "weight") == {"two": ("up", 1), "three": ("up", 1)}
    assert balanced.ask("reload") == {"generation": 4}
    assert balanced.portico.log().count("its row has another `to`") == 1


def test_a_reload_that_fails_keeps_them(balanced: Balanced) -> None:
    one, two, _ = balanced.members
    portico = balanced.start(one.url, two.url)
    balanced.change("drain", one)
    balanced.write(two.url)
    (balanced.folder / "shop.py").write_text("1 / 0\n")
    assert balanced.ask("reload")["error"] == "failed"
    (balanced.folder / "shop.py").write_text(SHOP)
    os.kill(portico.worker_pids[0], signal.SIGKILL)
    wait_until(lambda: balanced.listed("workers").get("one") == ({"draining": 2},), what="the next worker")
    assert balanced.asked() == {"two": 24}


def test_an_upgrade_keeps_them(balanced: Balanced) -> None:
    one, two, three = balanced.members
    portico = balanced.start(one.url, two.url)
    balanced.change("drain", one)
    balanced.change("add", three, weight=5)
    for generation in (2, 3):
        done = ctl("upgrade", "--socket", balanced.path, folder=balanced.folder)
        assert done.stdout == f"all workers are new, this is generation {generation}\n", done.stderr
        wait_until(lambda: len(portico.worker_pids) == 2, what="the end of those of before")
        expected = {"one": ("draining", 1), "two": ("up", 1), "three": ("up", 5)}
        assert balanced.listed("state", "weight") == expected
    balanced.change("add", one)
    assert {*balanced.asked()} == {"one", "two", "three"}


# --- What is told


def test_the_list_tells_of_failures_and_who_is_ejected(balanced: Balanced) -> None:
    one, _, _ = balanced.members
    gone = f"http://127.0.0.1:{free_port()}"
    balanced.start(one.url, gone, more="eject_after = 2\neject_for = 600", options=("-w", "1"))
    assert balanced.asked(8) == {"one": 8}
    assert balanced.listed("state", "requests", "failures") == {
        "one": ("up", 8, 0),
        gone: ("ejected", 2, 2),
    }
    # Nobody else is there: it is asked all the same.
    balanced.change("remove", one)
    balanced.change("remove", gone)
    balanced.change("add", gone)
    with balanced.portico.ask("/up") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 502 ")


def test_the_list_tells_who_is_not_well(balanced: Balanced) -> None:
    one, _, _ = balanced.members
    gone = f"http://127.0.0.1:{free_port()}"
    balanced.start(one.url, gone, more='health_path = "/"\nhealth_interval = 0.01')
    wait_until(lambda: balanced.listed("state")[gone] == ("down",), what="the health checks")
    assert balanced.listed("state", "workers") == {"one": ("up", {"up": 2}), gone: ("down", {"down": 2})}


def test_a_worker_that_does_not_tell_is_named(balanced: Balanced) -> None:
    portico = balanced.start()
    stopped = portico.worker_pids[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        said = balanced.ask("upstream")
        assert said["unheard"] == [stopped]
        assert {each["workers"]["up"] for each in said["upstreams"][0]["members"]} == {1}
        assert balanced.change("drain", balanced.members[0], wait=False)["state"] == "draining"
    finally:
        os.kill(stopped, signal.SIGCONT)
    wait_until(lambda: balanced.listed("workers")["one"] == ({"draining": 2},), what="the other worker")


def test_a_server_without_workers_lists_what_there_is_to_be(balanced: Balanced) -> None:
    one, two, three = balanced.members
    balanced.start(one.url, two.url)
    balanced.ask("drain")
    balanced.change("add", three, weight=2)
    balanced.change("remove", one)
    expected = {"two": ("unknown", {}, 1), "three": ("unknown", {}, 2)}
    assert balanced.listed("state", "workers", "weight") == expected
    balanced.ask("scale", workers=1)
    assert {*balanced.asked()} == {"two", "three"}


def test_upstreams_without_a_name_are_called_by_host_and_mount(balanced: Balanced) -> None:
    one, _, three = balanced.members
    balanced.start(one.url, name='host = ["b.example", "a.example"]')
    [upstream] = balanced.ask("upstream")["upstreams"]
    assert upstream["name"] == "a.example/up"
    assert balanced.change("add", three, "a.example/up")["upstream"] == "a.example/up"
    assert balanced.listed("from") == {"one": ("configuration",), "three": ("control",)}


@pytest.mark.parametrize(
    ("what", "fields", "code", "message"),
    [
        ("add", {"upstream": "down"}, "rejected", 'upstream: expected one of up, got "down"'),
        ("drain", {"upstream": "down"}, "rejected", 'upstream: expected one of up, got "down"'),
        ("add", {"upstream": None}, "bad-request", "expected upstream and member, both texts"),
        ("add", {"member": 5}, "bad-request", "expected upstream and member, both texts"),
        ("add", {}, "rejected", "member: expected one that up does not have yet, got ONE"),
        ("add", {"weight": 5}, "rejected", "member: expected one that up does not have yet, got ONE"),
        (
            "remove",
            {"member": "http://10.0.0.1"},
            "rejected",
            "member: expected one of ONE, got http://10.0.0.1:80",
        ),
        ("drain", {"member": "unix:/a b"}, "rejected", "member: expected one of ONE, got unix:/a b"),
        (
            "add",
            {"member": "10.0.0.1:80"},
            "rejected",
            'member: expected SCHEME://HOST:PORT or SCHEME+unix:PATH, got "10.0.0.1:80"',
        ),
        (
            "add",
            {"member": "http://a", "weight": 0},
            "rejected",
            "weight: expected a whole number from 1 to 65535, got 0",
        ),
        (
            "add",
            {"member": "http://a", "weight": "1"},
            "rejected",
            "weight: expected a whole number from 1 to 65535, got '1'",
        ),
    ],
)
def test_what_is_wrong_is_said(
    balanced: Balanced, what: str, fields: dict[str, Any], code: str, message: str
) -> None:
    one = balanced.members[0].url
    balanced.start(one, options=("-w", "1"))
    said = balanced.ask(f"upstream-{what}", **{"upstream": "up", "member": one, **fields})
    assert (said["ok"], said["error"], said["message"]) == (False, code, message.replace("ONE", one))
    assert balanced.listed("state", "weight") == {"one": ("up", 1)}


def test_a_server_without_upstreams_says_so(start: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "c.sock")
    start(SHOP, "--control", path, "-w", "1").wait_ready()
    assert ctl("upstream", "--socket", path, folder=tmp_path).stdout == "the server has no [[upstream]]\n"
    said = ctl("upstream", "drain", "up", "http://a", "--socket", path, folder=tmp_path)
    assert (said.returncode, said.stderr) == (
        2,
        'portico: upstream drain: upstream: expected none, since the server has no [[upstream]], got "up"\n',
    )


# --- portico ctl

_SAID: list[tuple[tuple[str, ...], str]] = [
    (("add", "up", "THREE"), "THREE of up gets requests"),
    (("add", "up", "THREE", "3"), "THREE of up gets requests"),
    (("drain", "up", "ONE"), "ONE of up gets no more requests"),
    (("drain", "up", "ONE", "--no-wait"), "ONE of up gets no more requests"),
    (("remove", "up", "ONE"), "ONE is no member of up any more"),
]


@pytest.mark.parametrize(("arguments", "said"), _SAID, ids=lambda value: "-".join(value[:1]))
def test_ctl_says_what_was_done(balanced: Balanced, arguments: tuple[str, ...], said: str) -> None:
    one, two, three = balanced.members
    balanced.start(one.url, two.url, options=("-w", "1"))
    urls = {"ONE": one.url, "THREE": three.url}
    words = [urls.get(word, word) for word in arguments]
    ended = ctl("upstream", *words, "--socket", balanced.path, folder=balanced.folder)
    for name, url in urls.items():
        said = said.replace(name, url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{said}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["add", "up", "127.0.0.1:1"],
            'MEMBER: expected a scheme before it, as in http://127.0.0.1:1, got "127.0.0.1:1"',
        ),
        (
            ["drain", "up", "http://a/b"],
            'MEMBER: expected nothing after the port: the path is the request\'s, got "/b"',
        ),
        (["darin", "up", "http://a"], "No such command 'darin'. Did you mean `portico ctl upstream drain`?"),
        (["add", "up", "http://a", "x"], "expected a whole number in digits, got 'x'."),
    ],
)
def test_ctl_says_what_is_wrong_with_its_words(tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = ctl("upstream", *arguments, "--socket", "none", folder=tmp_path)
    assert ended.returncode == 2
    assert said in ended.stderr


def _shown_as(text: str, members: list[NamedMember]) -> str:
    """The pages have other addresses, which are as long."""
    for number, member in enumerate(members):
        text = text.replace(f"http://10.20.0.{12 + number}:8000", member.url)
        text = text.replace(f"10.20.0.{12 + number}:8000", member.url.removeprefix("http://"))
    return text


@pytest.mark.parametrize("name", ["upstreams", "operations"])
def test_ctl_prints_what_the_pages_show(balanced: Balanced, name: str) -> None:
    one, two, _ = balanced.members
    balanced.start(one.url, two.url, options=("-w", "1"), name='name = "search"')
    assert balanced.asked(40) == {"one": 20, "two": 20}
    parts = [
        part
        for block in blocks_of((DOCS / f"{name}.md").read_text("utf-8"), "console")
        for part in block.parts()
        if part.typed.startswith("portico ctl upstream")
    ]
    assert len(parts) >= 5
    with balanced.hold() as held:
        one.held.get(timeout=_PATIENCE_S)
        for part in parts:
            words = _shown_as(part.typed, balanced.members).split()[2:]
            ended = ctl(*words, "--socket", balanced.path, folder=balanced.folder)
            printed = ended.stdout + ended.stderr
            assert printed == _shown_as(part.printed, balanced.members), part.typed
        one.go_on.set()
        assert held.recv(4096)


def test_ctl_takes_a_relative_path_from_its_folder(balanced: Balanced) -> None:
    balanced.start()
    ended = ctl("upstream", "add", "up", "unix:a.sock", "--socket", balanced.path, folder=balanced.folder)
    assert ended.stdout == f"unix:{balanced.folder}/a.sock of up gets requests\n"
