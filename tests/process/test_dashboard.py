"""The dashboard: what it tells is so, who may not see it does not, and a real browser shows it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from portico._core import DURATION_BOUNDS_S
from support.browser import Browser
from support.package import ROOT
from support.server import free_port
from support.waiting import wait_until
from support.ways import own_cpu_time

from .conftest import Portico, Start
from .test_admin import Connection, Reply, admin_pid, begin, workers

# What a run has looked like stays here.
PICTURES = Path(os.environ.get("PORTICO_TEST_PICTURES", ROOT / "target" / "dashboard"))

SHOP = """
import os, time
def application(environ, start_response):
    path = environ["PATH_INFO"]
    first = path.split("/")[1]
    environ["portico.route"] = "/" + first
    if first == "wait":
        while not os.path.exists("go on"):
            time.sleep(0.01)
    if first == "raise":
        raise ValueError("on purpose")
    if first == "slow":
        time.sleep(0.06)
    start_response("500 Oh No" if first == "fails" else "200 OK", [])
    return [b"x"]
"""
HOSTILE = "<script>document.title=1</script>"
HOSTILE_ROUTE = "<img src=x onerror=document.title=1>"
TOKEN = "a-token-of-the-tests-0123456789"


@pytest.fixture
def admin() -> int:
    """The port of the admin address."""
    return free_port()


def ask(place: int | Path, path: str = "/", method: str = "GET", **headers: str) -> Reply:
    with contextlib.closing(Connection(place)) as connection:
        connection.request(
            method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        return Reply(connection.getresponse())


class Events:
    """A client of /events, which reads one event after the other."""

    def __init__(self, place: int | Path, **headers: str) -> None:
        self._connection = Connection(place)
        self._connection.request("GET", "/events", headers=headers)
        self.response: HTTPResponse = self._connection.getresponse()

    def next(self) -> tuple[str, Any]:
        """The next event: its name, and its data."""
        fields: dict[str, str] = {}
        while True:
            line = self.response.readline().decode()
            assert line.endswith("\n"), f"the stream has ended in {line!r}"
            if line == "\n":
                if "data" in fields:
                    return fields["event"], json.loads(fields["data"])
                fields = {}
                continue
            name, colon, value = line.rstrip("\n").partition(": ")
            assert colon
            assert name in ("event", "data", "retry")
            assert name not in fields
            fields[name] = value

    def wait_for(self, is_so: Callable[[Any], object]) -> Any:
        """The first snapshot that is so."""
        for _ in range(60):
            name, data = self.next()
            if name == "snapshot" and not data["silent"] and is_so(data):
                return data
        raise AssertionError(f"not so: {data}")

    def close(self) -> None:
        # Both: the response has the socket, too.
        self.response.close()
        self._connection.close()


@contextlib.contextmanager
def watching(place: int | Path, **headers: str) -> Iterator[Events]:
    events = Events(place, **headers)
    try:
        yield events
    finally:
        events.close()


# --- What is told


@own_cpu_time
def test_events_have_traffic_workers_and_calls(start: Start, admin: int, tmp_path: Path) -> None:
    portico = begin(start, admin, "-w", "2", "--threads", "3", source=SHOP)
    with watching(admin) as events:
        assert events.response.headers["Content-Type"] == "text/event-stream"
        name, history = events.next()
        assert (name, history["points"], len(history["bounds_s"])) == ("history", [], 14)
        first = events.wait_for(lambda _: True)
        assert (first["point"], first["minute"]) == (None, None)
        for path in ("/item/1", "/item/2", "/slow/1", "/fails"):
            portico.get(path)
        with portico.ask(f"/wait/{HOSTILE}"):
            # All of it may not have come by the same second.
            snapshot = events.wait_for(
                lambda each: (
                    (each["start"]["requests"], each["minute"]["requests"]) == (4, 4)
                    and each["requests"]
                    and each["point"]["busy"] == each["point"]["active"] == 1
                )
            )
            (call,) = snapshot["requests"]
            assert (call["method"], call["pid"] in workers(portico)) == ("GET", True)
            assert call["path"] == f"/wait/{HOSTILE}"
            assert (snapshot["running"], snapshot["point"]["threads"]) == (1, 6)
            (tmp_path / "go on").touch()
        assert {worker["pid"] for worker in snapshot["workers"]} == set(workers(portico))
        assert [worker["slot"] for worker in snapshot["workers"]] == [1, 2]
        assert sum(worker["errors"] for worker in snapshot["workers"]) == 1
        assert all(worker["rss_bytes"] > 1 << 20 for worker in snapshot["workers"])
        for window in (snapshot["minute"], snapshot["start"]):
            slowest, *others = window["routes"]
            assert (slowest["route"], slowest["requests"]) == ("/slow", 1)
            assert slowest["mean_s"] > 0.06
            assert {row["route"]: row["requests"] for row in others} == {"/item": 2, "/fails": 1}
            assert [(row["route"], row["errors"]) for row in window["failing"]] == [("/fails", 1)]
            # It sleeps.
            assert slowest["parts_s"]["waiting"] > 0.06
            assert set(window["parts_s"]) == {"queue", "lock", "cpu", "client", "waiting"}
            assert sum(window["parts_s"].values()) == pytest.approx(
                sum(row["total_s"] for row in window["routes"]), abs=0.01
            )
            assert window["quantiles_s"]["p99"] > 0.05
        assert snapshot["server"]["pid"] == portico.process.pid
        # What they were each second; there is nothing beside them.
        with watching(admin) as later:
            _, history = later.next()
        counted = [sum(point["counts"]) for point in history["points"]]
        assert sum(counted) >= 4
        rates = [sum(point["rates"].values()) for point in history["points"]]
        assert [rate > 0 for rate in rates] == [count > 0 for count in counted]
    portico.stop()


def test_there_is_one_look_a_second_and_none_when_nobody_watches(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "1", source=SHOP)

    def replies() -> int:
        # What the supervisor writes: nothing else, while nothing happens.
        lines = Path(f"/proc/{portico.process.pid}/io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)["syscw"])

    before, began_s = replies(), time.monotonic()
    with contextlib.ExitStack() as stack:
        several = [stack.enter_context(watching(admin)) for _ in range(3)]
        seen = [events.wait_for(lambda _: True)["server"]["uptime_s"] for _ in range(4) for events in several]
        looks = len(set(seen))
        assert 4 <= looks <= 2 + time.monotonic() - began_s
        assert replies() - before >= looks
    latest = [(0, 0.0)]

    def is_quiet() -> bool:
        now_s, count = time.monotonic(), replies()
        if count != latest[-1][0]:
            latest.append((count, now_s))
        return now_s > latest[-1][1] + 6

    wait_until(is_quiet, what="no more replies", deadline_s=30)
    with watching(admin) as events:
        # There are no rates of a time in which nobody has looked.
        assert events.next() == ("history", {"bounds_s": list(DURATION_BOUNDS_S), "points": []})
        assert events.next()[1]["point"] is None
    portico.stop()


def test_there_is_room_for_some(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "1", source=SHOP)
    with contextlib.ExitStack() as stack:
        several = [stack.enter_context(watching(admin)) for _ in range(8)]
        for events in several:
            events.wait_for(lambda _: True)
        rejected = stack.enter_context(watching(admin)).response
        assert (rejected.status, rejected.headers["Retry-After"]) == (503, "10")
        assert rejected.read() == b"8 watch already, which is as many as may; try again later.\n"
        # Others are served all the same.
        assert ask(admin, "/metrics").status == ask(admin).status == 200
        several[0].close()

        def is_let_in() -> bool:
            with watching(admin) as events:
                return events.response.status == 200

        wait_until(is_let_in, what="a place")
    portico.stop()


def test_a_reload_ends_the_stream(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "1", source=SHOP)
    with watching(admin) as events:
        events.wait_for(lambda _: True)
        portico.signal(signal.SIGHUP)
        # One that goes on for ever would have the admin process never leave.
        assert "end" in (events.next()[0] for _ in range(30))
        assert events.response.read() == b""
    with watching(admin) as events:
        assert events.wait_for(lambda each: each["server"]["generation"] == 2)
    portico.stop()


def test_it_says_so_when_the_supervisor_is_silent(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "1", source=SHOP)
    with watching(admin) as events:
        events.wait_for(lambda _: True)
        portico.signal(signal.SIGSTOP)
        try:
            while not (snapshot := events.next()[1]).get("silent"):
                pass
            assert snapshot == {"silent": True}
        finally:
            portico.signal(signal.SIGCONT)
        events.wait_for(lambda each: each["point"])
    portico.stop()


# --- Who may see it


def test_the_page_has_nothing_of_others(start: Start, admin: int) -> None:
    class Found(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.attributes: list[tuple[str, str]] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag != "style"
            assert tag != "script" or dict(attrs)["src"]
            self.attributes += [(name, value or "") for name, value in attrs]

    portico = begin(start, admin, "-w", "1", source=SHOP)
    page = ask(admin)
    assert page.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'"
    )
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    found = Found()
    found.feed(page.text)
    assert [pair for pair in found.attributes if pair[0].startswith("on") or pair[0] == "style"] == []
    links = {value for name, value in found.attributes if name in ("src", "href")}
    assert links == {"data:,", "page.css", "page.js", "#main", "metrics"}
    script, style = ask(admin, "/page.js"), ask(admin, "/page.css")
    assert (script.headers["Content-Type"], style.headers["Content-Type"]) == (
        "text/javascript; charset=utf-8",
        "text/css; charset=utf-8",
    )
    for word in ("innerHTML", "insertAdjacentHTML", "document.write", "eval(", "http:", "https:", "url("):
        assert word not in script.text + style.text
    assert ask(admin, "/page.py").status == ask(admin, "/../__init__.py").status == 404
    assert ask(admin, method="POST").status == 405
    portico.stop()


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {"Host": "localhost"}, 200),
        ("/", {"Host": "127.0.0.1:80"}, 200),
        ("/", {"Host": "[::1]:9100"}, 200),
        ("/", {"Host": "shop.example"}, 403),
        ("/", {"Host": "localhost.shop.example:9100"}, 403),
        ("/", {"Host": "127.0.0.1.shop.example"}, 403),
        ("/events", {"Host": "shop.example"}, 403),
        ("/page.js", {"Host": "shop.example"}, 403),
        # Metrics are as they were.
        ("/metrics", {"Host": "shop.example"}, 200),
        ("/page.js", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "script"}, 403),
        ("/events", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "image"}, 403),
        ("/events", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, 403),
        ("/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}, 403),
        ("/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, 200),
        ("/?token=guessed", {}, 401),
    ],
)
def test_a_page_of_others_reads_nothing(
    start: Start, admin: int, path: str, headers: dict[str, str], status: int
) -> None:
    portico = begin(start, admin, "-w", "1", source=SHOP)
    with contextlib.closing(Connection(admin)) as connection:
        connection.request("GET", path, headers=headers)
        assert connection.getresponse().status == status
    portico.stop()


def with_token(start: Start, bind: str, tmp_path: Path, *options: str) -> Portico:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    portico = start(SHOP, "-w", "1", "--admin-bind", bind, "--admin-token-file", "token", *options)
    portico.wait_ready()
    portico.wait_for("metrics are at /metrics on ")
    return portico


def test_a_token_is_asked_for_by_all_that_is_there(start: Start, admin: int, tmp_path: Path) -> None:
    portico = with_token(start, f"127.0.0.1:{admin}", tmp_path)
    bearer, cookie = f"Bearer {TOKEN}", f"a=b; portico_admin={TOKEN}"
    for path in ("/", "/metrics", "/page.js", "/events", "/nothing"):
        rejected = ask(admin, path)
        assert (rejected.status, rejected.headers["WWW-Authenticate"]) == (401, 'Bearer realm="portico"'), (
            path
        )
    for wrong in (f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer", f"Basic {TOKEN}", "Bearer \xff\xfe"):
        assert ask(admin, Authorization=wrong).status == 401, wrong
    for wrong in (f"portico_admin={TOKEN}x", f"other={TOKEN}", "portico_admin="):
        assert ask(admin, Cookie=wrong).status == 401, wrong
    for path in ("/", "/metrics", "/page.js"):
        assert ask(admin, path, Authorization=bearer).status == ask(admin, path, Cookie=cookie).status == 200
        # It is not a question of names any more.
        assert ask(admin, path, Authorization=bearer, Host="shop.example").status == 200
    with watching(admin, Cookie=cookie) as events:
        events.wait_for(lambda _: True)
    entered = ask(admin, f"/?token={TOKEN}")
    assert entered.status == 200
    assert entered.headers["Set-Cookie"] == f"portico_admin={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
    assert ask(admin, f"/?token={TOKEN}x").status == ask(admin, "/?token=").status == 401
    shown = b"".join(
        Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (portico.process.pid, admin_pid(portico))
    )
    environment = Path(f"/proc/{portico.process.pid}/environ").read_bytes()
    assert TOKEN.encode() not in shown + environment
    assert TOKEN not in portico.log()
    portico.stop()


def test_an_address_that_others_reach_needs_a_token(start: Start, admin: int, tmp_path: Path) -> None:
    # It is not one of those that are known to be this machine's own.
    bind = f"[::ffff:127.0.0.1]:{admin}"
    portico = start(SHOP, "-w", "1", "--admin-bind", bind)
    portico.wait_for("metrics are at /metrics on ")
    rejected = ask(admin)
    assert (rejected.status, "set admin_token_file" in rejected.text) == (403, True)
    assert ask(admin, "/events").status == 403
    assert ask(admin, "/metrics").status == 200
    portico.stop()
    portico = with_token(start, bind, tmp_path)
    assert ask(admin).status == ask(admin, "/metrics").status == 401
    assert ask(admin, Authorization=f"Bearer {TOKEN}").status == 200
    portico.stop()


def test_a_unix_socket_has_its_mode(start: Start, tmp_path: Path) -> None:
    portico = with_token(start, "unix:admin.sock?mode=600", tmp_path)
    place = tmp_path / "admin.sock"
    assert ask(place).status == ask(place, "/metrics").status == 200
    with watching(place) as events:
        events.wait_for(lambda _: True)
    portico.stop()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, '--admin-token-file on the command line: cannot read "token": No such file or directory'),
        ("", "expected 16 to 256 visible ASCII characters other than"),
        ("short\n", "expected 16 to 256 visible ASCII characters other than"),
        ("two words of one token", "expected 16 to 256 visible ASCII characters other than"),
        ("a;secret;of;sixteen", "expected 16 to 256 visible ASCII characters other than"),
        ("x" * 300, "expected 16 to 256 visible ASCII characters other than"),
    ],
)
def test_says_what_is_wrong_with_a_token(
    start: Start, admin: int, tmp_path: Path, content: str | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    portico = start(SHOP, "-w", "1", "--admin-bind", f"127.0.0.1:{admin}", "--admin-token-file", "token")
    assert portico.wait() == 2
    assert sentence in portico.log()
    assert not content or content.strip() not in portico.log()


def test_a_profile_is_not_begun_by_others(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "1", source=SHOP)
    assert ask(admin, "/profile").status == 405
    assert ask(admin, "/profile", "POST").status == 403
    for query in ("seconds=0", "seconds=61", "seconds=x", "worker=-1", f"route={'x' * 201}"):
        assert ask(admin, f"/profile?{query}", "POST", Portico_Dashboard="1").status == 400, query
    portico.stop()


# --- In a browser


def text_of(browser: Browser, id_: str) -> str:
    return str(browser.evaluate(f"document.getElementById('{id_}').innerText"))


def wait_for_text(browser: Browser, id_: str, *texts: str) -> None:
    wait_until(
        lambda: all(text in text_of(browser, id_) for text in texts),
        what=f"{texts} in {id_}",
        deadline_s=30,
    )


def keep(browser: Browser, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    picture = browser.picture(is_whole=True)
    assert picture.startswith(b"\x89PNG")
    (PICTURES / f"{name}.png").write_bytes(picture)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it(
    start: Start, admin: int, browser: Browser, tmp_path: Path, scheme: str, width: int
) -> None:
    portico = begin(start, admin, "-w", "2", "--threads", "3", source=SHOP)
    browser.look_like(width=width, scheme=scheme)
    assert "Traffic" in browser.open(f"http://127.0.0.1:{admin}/")
    wait_for_text(browser, "connection", "connected")
    with portico.ask(f"/wait/{HOSTILE}"):
        for number in range(20):
            portico.get(f"/item/{number}")
            portico.get(f"/slow/{number}")
        portico.get("/fails")
        portico.get(f"/raise/{HOSTILE}")
        portico.get(f"/{HOSTILE_ROUTE.replace(' ', '%20')}")
        wait_for_text(browser, "requests", f"GET /wait/{HOSTILE}")
        wait_for_text(browser, "routes", "GET /slow", "GET /item", f"GET /{HOSTILE_ROUTE}")
        wait_for_text(browser, "errors", "GET /fails")
        wait_for_text(browser, "failed", f"ValueError GET /raise/{HOSTILE} (/raise)", "status 500 GET /fails")
        wait_for_text(browser, "workers", *map(str, workers(portico)))
        wait_for_text(browser, "saturation", "1 of 6")
        assert "p95" in text_of(browser, "latency-now")
        assert "Requests per second by status class over" in browser.evaluate(
            "document.getElementById('traffic').getAttribute('aria-label')"
        )
        assert browser.evaluate("document.title") == "shop - portico"
        assert browser.evaluate("document.querySelectorAll('main script, main img').length") == 0
        # Something is drawn: not all of it has one colour.
        for chart in ("traffic", "latency", "busy"):
            pixels = (
                f"(() => {{ const one = document.getElementById('{chart}'); const data = one.getContext('2d')"
                ".getImageData(0, 0, one.width, one.height).data; const found = new Set();"
                "for (let at = 0; at < data.length; at += 4) found.add(data.slice(at, at + 4).join());"
                "return found.size; })()"
            )
            assert browser.evaluate(pixels) > 1
        keep(browser, f"{scheme}-{width}")
        # Tables scroll, the page does not.
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        (tmp_path / "go on").touch()
    wait_for_text(browser, "requests-none", "None")
    dark = browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 29)"
    assert dark == (scheme == "dark")
    browser.open("about:blank")
    portico.stop()


def test_it_comes_back_after_a_reload_and_a_death(start: Start, admin: int, browser: Browser) -> None:
    portico = begin(start, admin, "-w", "1", source=SHOP)
    browser.open(f"http://127.0.0.1:{admin}/")
    wait_for_text(browser, "server", "generation 1")
    # Whatever was said meanwhile.
    browser.evaluate(
        "window.said = []; new MutationObserver(() => window.said.push("
        "document.getElementById('connection').textContent)).observe("
        "document.getElementById('connection'), { childList: true, characterData: true, subtree: true })"
    )
    portico.signal(signal.SIGHUP)
    wait_for_text(browser, "server", "generation 2")
    wait_for_text(browser, "connection", "connected")
    assert "not connected, trying again" in browser.evaluate("window.said.join('|')")
    os.kill(admin_pid(portico), signal.SIGKILL)
    wait_until(
        lambda: (
            browser.evaluate("window.said.filter((each) => each.startsWith('not connected')).length") >= 2
        ),
        what="a connection that is lost",
    )
    wait_until(lambda: text_of(browser, "connection") == "connected", what="a connection", deadline_s=30)
    portico.signal(signal.SIGSTOP)
    try:
        wait_for_text(browser, "connection", "the supervisor does not respond")
    finally:
        portico.signal(signal.SIGCONT)
    wait_until(lambda: text_of(browser, "connection") == "connected", what="a connection", deadline_s=30)
    portico.stop()
    wait_for_text(browser, "connection", "not connected, trying again")
    browser.open("about:blank")


def test_keys_are_enough(start: Start, admin: int, browser: Browser) -> None:
    portico = begin(start, admin, "-w", "1", source=SHOP)
    portico.get("/item/1")
    browser.look_like(width=1280, scheme="light")
    browser.open(f"http://127.0.0.1:{admin}/")
    # Of before anybody watched, so that it is in one of the two times alone.
    wait_for_text(browser, "routes-none", "No requests yet")
    focused = "document.activeElement.id || document.activeElement.name || document.activeElement.className"
    browser.press("Tab", 9)
    assert browser.evaluate(focused) == "skip"
    browser.press("Tab", 9)
    assert browser.evaluate(focused) == "pause"
    browser.press("Enter", 13, "\r")
    assert browser.evaluate("document.getElementById('pause').getAttribute('aria-pressed')") == "true"
    wait_for_text(browser, "connection", "paused")
    browser.press("Enter", 13, "\r")
    assert browser.evaluate("document.getElementById('pause').getAttribute('aria-pressed')") == "false"
    for _ in range(10):
        browser.press("Tab", 9)
        if browser.evaluate(focused) == "window":
            break
    browser.press("ArrowDown", 40)
    assert browser.evaluate("document.querySelector('input[name=window]:checked').value") == "start"
    wait_for_text(browser, "routes", "GET /item")
    # Focus stays where it is while tables are written anew.
    assert browser.evaluate(focused) == "window"
    browser.open("about:blank")
    portico.stop()


def test_failed_requests_open_by_keyboard_and_stay_open_while_more_come(
    start: Start, admin: int, browser: Browser
) -> None:
    portico = begin(start, admin, "-w", "1", source=SHOP)
    browser.look_like(width=390, scheme="light")
    browser.open(f"http://127.0.0.1:{admin}/")
    wait_for_text(browser, "failed-none", "None.")
    portico.get("/raise/1")
    wait_for_text(browser, "failed", "1 \u00d7 ValueError GET /raise/1 (/raise)")
    browser.evaluate("document.querySelector('#failed summary').focus()")
    browser.press("Enter", 13, "\r")
    wait_for_text(browser, "failed", "shop.py:", 'raise ValueError("on purpose")', "worker 1, no request id")
    portico.get("/raise/2")
    wait_for_text(browser, "failed", "2 \u00d7 ValueError GET /raise/2 (/raise)", "2 alike, the first at ")
    # A worker that is killed and a reload take nothing of it along.
    os.kill(workers(portico)[0], signal.SIGKILL)
    portico.signal(signal.SIGHUP)
    wait_for_text(browser, "server", "generation 2")
    portico.get("/raise/3")
    wait_for_text(browser, "failed", "3 \u00d7 ValueError GET /raise/3 (/raise)", "3 alike, the first at ")
    assert browser.evaluate("document.activeElement.tagName") == "SUMMARY"
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390
    browser.open("about:blank")
    portico.stop()


def test_a_browser_enters_with_a_token(start: Start, admin: int, browser: Browser, tmp_path: Path) -> None:
    portico = with_token(start, f"127.0.0.1:{admin}", tmp_path)
    assert "needs the admin token" in browser.open(f"http://127.0.0.1:{admin}/")
    browser.open(f"http://127.0.0.1:{admin}/?token={TOKEN}")
    wait_until(
        lambda: browser.evaluate("location.search === '' && document.title") == "shop - portico", what="it"
    )
    assert browser.evaluate("document.cookie") == ""
    wait_for_text(browser, "connection", "connected")
    browser.open("about:blank")
    portico.stop()
