"""A change of what was read, and the next response is of new code, whatever the change looks like."""

from __future__ import annotations

import ast
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from support.processes import children, is_alive
from support.waiting import wait_until

from .conftest import Start, save

_DEADLINE_S = 20.0
SHOP = """
{head}
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str({value}).encode()]
"""


def shop(value: object, head: str = "") -> str:
    return SHOP.format(value=value, head=head)


def test_serves_new_code_after_each_of_fifty_saves(start: Start, tmp_path: Path) -> None:
    # All of one size and many in one second: what Python has compiled must not be taken for up to date.
    path = tmp_path / "shop.py"
    save(path, shop(100))
    dev = start().wait_ready()
    assert dev.body() == "100"
    for number in range(101, 151):
        if number % 2:
            save(path, shop(number))
        else:
            path.write_text(shop(number))
        dev.wait_body(str(number))
    assert "Traceback" not in dev.log()


def test_new_code_is_there_within_a_third_of_a_second(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    save(path, shop(10))
    dev = start().wait_ready()
    took_s = []
    for number in range(11, 21):
        began_s = time.monotonic()
        save(path, shop(number))
        dev.wait_body(str(number))
        took_s.append(time.monotonic() - began_s)
    assert sorted(took_s)[len(took_s) // 2] < 0.3, took_s


@pytest.mark.parametrize("options", [(), ("--threads", "4")], ids=["one thread", "four threads"])
def test_a_request_right_after_a_save_gets_new_code(
    start: Start, tmp_path: Path, options: tuple[str, ...]
) -> None:
    path = tmp_path / "shop.py"
    save(path, shop(100))
    dev = start(*options).wait_ready()
    seen = []
    for number in range(101, 121):
        save(path, shop(number))
        seen.append(dev.body())
    assert seen == [str(number) for number in range(101, 121)]


def test_a_request_right_after_a_save_of_what_a_request_has_imported(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "late.py", "value = 100\n")
    source = shop("value()", head="def value():\n    import late\n    return late.value\n")
    save(tmp_path / "shop.py", source)
    dev = start().wait_ready()
    seen = [dev.body()]
    for number in range(101, 106):
        save(tmp_path / "late.py", f"value = {number}\n")
        seen.append(dev.body())
    assert seen == [str(number) for number in range(100, 106)]


def test_a_connection_that_was_opened_before_a_save_gets_new_code(start: Start, tmp_path: Path) -> None:
    # Browsers open connections before they have anything to ask.
    path = tmp_path / "shop.py"
    save(path, shop("'old'"))
    dev = start().wait_ready()
    with socket.create_connection(("127.0.0.1", dev.port), _DEADLINE_S) as early:
        time.sleep(2.5)  # a pause is what is tested: the kernel may keep it back for a while only
        save(path, shop("'new'"))
        early.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert early.makefile("rb").read().endswith(b"\r\n\r\nnew")


def test_requests_behind_a_stuck_call_wait_for_the_new_code(start: Start, tmp_path: Path) -> None:
    gate, reached = tmp_path / "gate", tmp_path / "reached"
    os.mkfifo(gate)
    stuck = f"def value():\n    open({str(reached)!r}, 'w').close()\n    open({str(gate)!r}).read()\n"
    save(tmp_path / "shop.py", shop("value()", head=stuck))
    dev = start("--graceful-timeout", "300ms").wait_ready()

    def ask(body: bytes = b"") -> socket.socket:
        client = socket.create_connection(("127.0.0.1", dev.port), _DEADLINE_S)
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        client.sendall(f"POST / HTTP/1.1\r\nHost: a\r\n{length}\r\n".encode() + body)
        return client

    first = ask()
    wait_until(reached.exists, what="the call")
    waiting = [ask(), ask(b"x" * 1000), ask()]
    save(tmp_path / "shop.py", shop("'new'"))
    with first:
        assert first.makefile("rb").read() == b""
    for client in waiting:
        with client:
            assert client.makefile("rb").read().endswith(b"\r\n\r\nnew")


def test_requests_that_come_together_are_responded_to_one_after_the_other(
    start: Start, tmp_path: Path
) -> None:
    head = "import time\nrunning = []\ndef value():\n    running.append(1); most = len(running)\n"
    head += "    time.sleep(0.005); running.pop(); return most"
    save(tmp_path / "shop.py", shop("value()", head=head))
    dev = start().wait_ready()
    bodies: list[str] = []

    def ask() -> None:
        bodies.extend(dev.body() for _ in range(5))

    clients = [threading.Thread(target=ask) for _ in range(6)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert bodies == ["1"] * 30


def test_every_request_gets_a_response_while_it_reloads(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    save(path, shop(10))
    dev = start().wait_ready()
    is_over = threading.Event()
    seen: list[object] = []

    def ask() -> None:
        while not is_over.is_set():
            try:
                seen.append(dev.get()[2])
            except OSError as error:
                seen.append(error)

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for client in clients:
        client.start()
    try:
        for number in range(11, 26):
            save(path, shop(number))
            wait_until(lambda number=number: str(number) in seen, what=f"{number} among the responses")
    finally:
        is_over.set()
        for client in clients:
            client.join()
    assert {each for each in seen if not isinstance(each, str)} == set()


def test_a_request_during_a_reload_waits_for_the_new_code(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", shop("'old'"))
    dev = start().wait_ready()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    save(tmp_path / "shop.py", shop("'new'", head=f"open({str(gate)!r}).read()"))
    dev.wait_for("reloading: shop.py changed")
    # Now nobody serves: the import waits at the gate.
    bodies: list[str] = []
    client = threading.Thread(target=lambda: bodies.append(dev.body()))
    client.start()
    with gate.open("w"):
        pass
    client.join()
    assert bodies == ["new"]


def test_a_request_in_flight_is_finished_by_the_old_code(start: Start, tmp_path: Path) -> None:
    gate, reached = tmp_path / "gate", tmp_path / "reached"
    os.mkfifo(gate)
    head = f"def value():\n    open({str(reached)!r}, 'w').close()\n    open({str(gate)!r}).read()\n"
    save(
        tmp_path / "shop.py",
        shop("'old'", head=head).replace("    start_response", "    value(); start_response"),
    )
    dev = start("--graceful-timeout", "20s").wait_ready()
    bodies: list[str] = []
    client = threading.Thread(target=lambda: bodies.append(dev.body()))
    client.start()
    wait_until(reached.exists, what="the call")
    save(tmp_path / "shop.py", shop("'new'"))
    dev.wait_for("reloaded in ")
    dev.wait_body("new")
    with gate.open("w"):
        pass
    client.join()
    assert bodies == ["old"]


def test_a_save_during_an_import_begins_it_anew(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", shop("'old'"))
    dev = start().wait_ready()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    save(tmp_path / "shop.py", shop("'stuck'", head=f"open({str(gate)!r}).read()"))
    dev.wait_for("reloading: shop.py changed")
    save(tmp_path / "shop.py", shop("'new'"))
    assert dev.body() == "new"


def test_a_save_during_the_first_import_is_not_missed(start: Start, tmp_path: Path) -> None:
    gate, reached = tmp_path / "gate", tmp_path / "reached"
    os.mkfifo(gate)
    save(
        tmp_path / "shop.py",
        shop("'old'", head=f"open({str(reached)!r}, 'w').close(); open({str(gate)!r}).read()"),
    )
    dev = start()
    wait_until(reached.exists, what="the import")
    save(tmp_path / "shop.py", shop("'new'"))
    with gate.open("w"):
        pass
    dev.wait_body("new")


def test_modules_that_are_imported_by_a_request_are_watched_too(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "late.py", "value = 'old'\n")
    source = shop("value()", head="def value():\n    import late\n    return late.value\n")
    save(tmp_path / "shop.py", source)
    dev = start().wait_ready()
    assert dev.body() == "old"
    save(tmp_path / "late.py", "value = 'new'\n")
    dev.wait_body("new")


def test_a_file_that_was_not_read_does_not_reload(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "other.py", "value = 1\n")
    save(tmp_path / "shop.py", shop("__import__('os').getpid()"))
    dev = start().wait_ready()
    pid = dev.body()
    save(tmp_path / "other.py", "value = 2\n")
    save(tmp_path / "marker.py", "")
    # A change of what was read comes after it, and is the only one that is told of.
    save(tmp_path / "shop.py", shop("__import__('os').getpid()") + "\n")
    wait_until(lambda: dev.body() != pid, what="another worker")
    assert "reloading: shop.py changed" in dev.log()
    assert "other.py" not in dev.log()


def test_a_deleted_file_and_its_return(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "part.py", "value = 'old'\n")
    save(tmp_path / "shop.py", shop("part.value", head="import part"))
    dev = start().wait_ready()
    (tmp_path / "part.py").unlink()
    wait_until(lambda: dev.get()[0] == 500, what="the error page")
    assert "No module named 'part'" in dev.get()[2]
    save(tmp_path / "part.py", "value = 'new'\n")
    dev.wait_body("new")


def test_a_link_that_is_switched(start: Start, tmp_path: Path) -> None:
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        save(tmp_path / release / "shop.py", shop(repr(release)))
    link = tmp_path / "current"
    link.symlink_to("one")
    dev = start("--chdir", str(link)).wait_ready()
    assert dev.body() == "one"
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(link)
    dev.wait_body("two")


def test_a_package_and_a_subfolder(start: Start, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    save(tmp_path / "store" / "__init__.py", "")
    save(tmp_path / "store" / "wsgi.py", shop("value", head="from .values import value"))
    save(tmp_path / "store" / "values.py", "value = 1\n")
    dev = start(application="store.wsgi").wait_ready()
    assert dev.body() == "1"
    save(tmp_path / "store" / "values.py", "value = 2\n")
    dev.wait_body("2")


def test_templates_beside_a_module(start: Start, tmp_path: Path) -> None:
    (tmp_path / "templates" / "parts").mkdir(parents=True)
    page = tmp_path / "templates" / "parts" / "page.html"
    save(page, "old")
    save(tmp_path / "shop.py", shop("TEXT", head=f"TEXT = open({str(page)!r}).read()"))
    dev = start().wait_ready()
    assert dev.body() == "old"
    save(page, "new")
    dev.wait_body("new")


def test_globs_that_are_given(start: Start, tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    head = "import glob\nTEXT = sorted(open(path).read() for path in glob.glob('content/*.md'))"
    save(tmp_path / "content" / "a.md", "a")
    save(tmp_path / "content" / "a.txt", "not watched")
    save(tmp_path / "shop.py", shop("TEXT", head=head))
    dev = start("--watch", "content/**/*.md").wait_ready()
    assert dev.body() == "['a']"
    save(tmp_path / "content" / "b.md", "b")
    dev.wait_body("['a', 'b']")
    (tmp_path / "content" / "a.md").unlink()
    dev.wait_body("['b']")


def test_a_worker_that_dies_is_replaced(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", shop("__import__('os').getpid()"))
    dev = start().wait_ready()
    pid = int(dev.body())
    os.kill(pid, signal.SIGKILL)
    dev.wait_for("the worker was killed by SIGKILL; starting another")
    assert int(dev.body()) != pid


def test_no_reload_serves_what_it_has_loaded(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", shop("'old'"))
    dev = start("--no-reload").wait_ready()
    save(tmp_path / "shop.py", shop("'new'"))
    assert "reloading never" in dev.log()
    assert dev.body() == "old"
    dev.interrupt()
    assert dev.wait() == 0


def test_no_reload_ends_where_the_application_cannot_be_loaded(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", "1 / 0\n")
    dev = start("--no-reload")
    assert dev.wait() == 3
    assert "ZeroDivisionError" in dev.log()


def test_nothing_of_watchfiles_is_in_a_worker(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", shop("LOADED", head="import sys\nLOADED = [*sys.modules]"))
    loaded = set(ast.literal_eval(start().wait_ready().body()))
    assert not loaded & {"click", "tomllib", "typing", "logging", "socket", "watchfiles", "portico.cli"}


def has_watchfiles() -> bool:
    found = subprocess.run([sys.executable, "-c", "import watchfiles"], capture_output=True, check=False)
    return found.returncode == 0


@pytest.mark.skipif(not has_watchfiles(), reason="watchfiles is not installed")
def test_is_notified_where_watchfiles_is_installed(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", shop(1))
    dev = start().wait_ready()
    assert "reloading when a file that it has read changes\n" in dev.log()
    (notifier,) = set(children(dev.process.pid)) - set(dev.worker_pids)
    save(tmp_path / "shop.py", shop(2))
    dev.wait_body("2")
    dev.interrupt()
    assert dev.wait() == 0
    wait_until(lambda: not is_alive(notifier), what="the end of the notifier")


def test_each_change_of_a_static_file_is_seen_at_once(start: Start, tmp_path: Path) -> None:
    """Elsewhere small files are kept for a second."""
    save(tmp_path / "shop.py", shop(100))
    style = tmp_path / "public/shop.css"
    style.parent.mkdir()
    style.write_text("0")
    dev = start("--static", "/static=public").wait_ready()
    for number in range(10):
        assert dev.body("/static/shop.css") == str(number)
        style.write_text(str(number + 1))
