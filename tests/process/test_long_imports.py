"""An import that takes long says where it is."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.server import free_port
from support.waiting import wait_until
from support.ways import not_for

from .conftest import Portico

TAIL = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""
SOURCES = {
    "sleeps": ("import time\ntime.sleep(60)\n", r"shop\.py:2 \(<module>\)$"),
    "computes": ("def count():\n    while True: pass\ncount()\n", r"shop\.py:2 \(count\)$"),
    "keeps_the_interpreter": (
        "import re\ndef search():\n    re.match(r'(a*)*b', 'a' * 60)\nsearch()\n",
        r"shop\.py:3 \(search\), in \S+/re/?\S*:\d+ \(match\)$",
    ),
    "waits_for_a_server": (
        "import socket\na, b = socket.socketpair()\ndef ask():\n    import http.client\n"
        "    response = http.client.HTTPResponse(a)\n    response.begin()\nask()\n",
        r"shop\.py:6 \(ask\), in \S+/socket\.py:\d+ \(readinto\)$",
    ),
    "waits_in_c": (
        "import ctypes\nctypes.PyDLL(None).sleep(60)\n",
        r"shop\.py:2 \(<module>\)$",
    ),
    "waits_with_threads": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "threading.Event().wait()\n",
        r"shop\.py:3 \(<module>\), in \S+/threading\.py:\d+ \(wait\)$",
    ),
    "imports_another": ("import other\n", r"other\.py:2 \(<module>\)$"),
    "is_made_slowly": (
        "import time\ndef make():\n    time.sleep(60)\n",
        r"shop\.py:3 \(make\)$",
    ),
}
LINE = re.compile(
    r"\[warning\] worker \d+: the application is still being imported after (\d+) s: (.*)$", re.M
)


def lines(portico: Portico) -> list[tuple[str, str]]:
    return LINE.findall(portico.log())


Begin = Callable[..., Portico]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start a server in a folder of its own; all are killed at the end."""
    started: list[Portico] = []

    def begin_one(name: str, source: str, application: str = "shop") -> Portico:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "shop.py").write_text(source)
        (folder / "other.py").write_text("import time\ntime.sleep(60)\n")
        started.append(Portico(folder, application, ["-w", "1"], port=free_port()))
        return started[-1]

    yield begin_one
    for portico in started:
        # Its worker still imports, so it does not see that its supervisor is gone.
        portico.kill()


@not_for("gevent", reason="where an import waits in the hub, that is all that is seen")
def test_an_import_that_takes_long_says_on_which_line(begin: Begin) -> None:
    began_s = time.monotonic()
    importing = {
        name: begin(name, source + TAIL, "shop:make()" if name == "is_made_slowly" else "shop")
        for name, (source, _) in SOURCES.items()
    }
    for name, portico in importing.items():
        wait_until(lambda portico=portico: lines(portico), what=f"a line of {name}", deadline_s=20)
    assert time.monotonic() - began_s > 4
    shown = {name: lines(portico)[0][1] for name, portico in importing.items()}
    assert {name: where for name, where in shown.items() if not re.search(SOURCES[name][1], where)} == {}
    # Again at twice the time, and no more often.
    sleeping = importing["sleeps"]
    wait_until(lambda: len(lines(sleeping)) == 2, what="a second line", deadline_s=20)
    assert [5, 10] <= [int(elapsed_s) for elapsed_s, _ in lines(sleeping)] <= [8, 13]
    # It still obeys.
    sleeping.signal(signal.SIGINT)
    assert sleeping.wait() == 0


def test_the_question_disturbs_no_import_and_no_worker_that_serves(begin: Begin) -> None:
    source = """
import time
began_s = time.monotonic()
time.sleep(6)
lasted_s = time.monotonic() - began_s
def application(environ, start_response):
    start_response("200 OK", [])
    return [str(lasted_s).encode()]
"""
    portico = begin("goes_on", source)
    portico.wait_ready()
    assert 6 <= float(portico.get()) < 8
    assert len(lines(portico)) == 1
    # Whoever else sends it.
    (pid,) = portico.worker_pids
    os.kill(pid, signal.SIGURG)
    assert float(portico.get())
    portico.stop()
