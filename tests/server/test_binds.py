"""Where the server listens: TCP and Unix sockets of every form, mixed, and what becomes of their files."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.raw_client import Connection
from support.server import TESTS, Server, command, free_port

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")


def environ(connection: Connection) -> dict[str, Any]:
    response = connection.request("/environ", headers=["X-A: b"])
    return {key: entry["value"] for key, entry in json.loads(response.body)["values"].items()}


@pytest.mark.parametrize("threads", [1, 8])
def test_unix_socket(tmp_path: Path, threads: int) -> None:
    path = tmp_path / "portico.sock"
    with Server(threads=threads, bind=f"unix:{path}") as server, server.connect() as connection:
        for _ in range(2):
            values = environ(connection)
            assert values["HTTP_X_A"] == "b"
            assert isinstance(values["REMOTE_ADDR"], str)
            assert values["SERVER_NAME"] != ""
            assert values["SERVER_PORT"] != ""
        assert connection.request("/echo", method="POST", body=b"x" * 300_000).body == b"x" * 300_000
        assert len(connection.request("/one-block?mebibytes=4").body) == 4 << 20
    assert not path.exists(), "the socket file was left behind"


def test_unix_socket_with_a_mode(tmp_path: Path) -> None:
    path = tmp_path / "portico.sock"
    with Server(bind=f"unix:{path}?mode=660") as server, server.connect() as connection:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert connection.request("/function").body == b"function"


def test_a_stale_unix_socket_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "portico.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with Server(bind=f"unix:{path}") as server, server.connect() as connection:
        assert connection.request("/function").body == b"function"


def test_several_addresses(tmp_path: Path) -> None:
    path = tmp_path / "portico.sock"
    with Server(options=["-b", f"unix:{path}"]) as server:
        with server.connect() as connection:
            assert environ(connection)["SERVER_PORT"] == str(server.port)
        with Connection(str(path)) as connection:
            assert connection.request("/function").body == b"function"


def test_ipv6() -> None:
    try:
        port = free_port("::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with Server(options=["-b", f"[::1]:{port}"]) as server:
        with socket.create_connection(("::1", port)) as raw:
            raw.sendall(b"GET /environ HTTP/1.0\r\n\r\n")
            response = b"".join(iter(lambda: raw.recv(65536), b""))
        with server.connect() as connection:
            assert environ(connection)["REMOTE_ADDR"] == "127.0.0.1"
    values = json.loads(response.partition(b"\r\n\r\n")[2])["values"]
    assert values["REMOTE_ADDR"]["value"] == "::1"
    assert values["SERVER_PORT"]["value"] == str(port)


def test_listeners_of_every_form_at_once(tmp_path: Path) -> None:
    """HTTP is served on all of its listeners; the others are there too, and the banner names all."""
    ports = [free_port() for _ in range(3)]
    name = f"portico-{os.getpid()}"
    options = [
        f"http://127.0.0.1:{ports[0]}",
        f"http+unix:{tmp_path}/http.sock?mode=600",
        f"unix://@{name}",
        f"uwsgi://127.0.0.1:{ports[1]}?persistent=on",
        f"uwsgi+unix:@{name}-uwsgi",
        f"fastcgi+unix:{tmp_path}/fastcgi.sock?mode=660&stderr=on",
        f"scgi://127.0.0.1:{ports[2]}?proxy=required",
    ]
    with Server(options=[word for option in options for word in ("-b", option)], workers=2) as server:
        banner = server.error_log.wait_for(r"^  on (.*)$")[1]
        assert banner.split(", ") == [
            f"http://127.0.0.1:{server.port}",
            f"http://127.0.0.1:{ports[0]}",
            f"unix:{tmp_path}/http.sock",
            f"unix:@{name}",
            f"uwsgi://127.0.0.1:{ports[1]}?persistent=on",
            f"uwsgi+unix:@{name}-uwsgi",
            f"fastcgi+unix:{tmp_path}/fastcgi.sock?stderr=on",
            f"scgi://127.0.0.1:{ports[2]}?proxy=required",
        ]
        assert stat.S_IMODE((tmp_path / "http.sock").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "fastcgi.sock").stat().st_mode) == 0o660
        for address in (
            ("127.0.0.1", server.port),
            ("127.0.0.1", ports[0]),
            f"{tmp_path}/http.sock",
            f"\0{name}",
        ):
            with Connection(address) as connection:
                assert connection.request("/function").body == b"function"
                assert connection.request("/echo", method="POST", body=b"x" * 300_000).body == b"x" * 300_000
        for address in (("127.0.0.1", ports[1]), f"\0{name}-uwsgi", f"{tmp_path}/fastcgi.sock"):
            Connection(address).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("threads", [1, 8])
def test_abstract_unix_socket(threads: int) -> None:
    name = f"portico-{os.getpid()}"
    with Server(threads=threads, options=["-b", f"unix:@{name}"]) as server:
        with Connection(f"\0{name}") as connection:
            assert environ(connection)["SERVER_NAME"] != ""
        with server.connect() as connection:
            assert environ(connection)["REMOTE_ADDR"] == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        Connection(f"\0{name}")


@as_root
def test_unix_socket_for_a_user_and_a_group(tmp_path: Path) -> None:
    path = tmp_path / "portico.sock"
    with Server(bind=f"unix:{path}?owner=nobody&group=daemon") as server, server.connect() as connection:
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (pwd.getpwnam("nobody").pw_uid, grp.getgrnam("daemon").gr_gid)
        assert stat.S_IMODE(found.st_mode) == 0o660
        assert connection.request("/function").body == b"function"
    assert not path.exists()


def start_error(*binds: str) -> str:
    """Start a server that cannot listen on all of `binds`, and return its one sentence."""
    options = [word for bind in binds[1:] for word in ("-b", bind)]
    words = command(
        "apps.conformance:application", binds[0], threads=1, workers=1, access_log="off", options=options
    )
    ended = subprocess.run(words, cwd=TESTS, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 4, ended
    assert ended.stdout == ""
    return ended.stderr


def test_the_socket_of_a_killed_server_is_taken_over_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    bind = f"unix:{tmp_path}/portico.sock"
    first = Server(bind=bind)
    first.start()
    try:
        found = start_error(f"127.0.0.1:{free_port()}", bind)
        assert re.fullmatch(
            rf"portico: cannot listen on {bind}: process {first.pid} \(.+\) listens there\n", found
        )
        with first.connect() as connection:
            assert connection.request("/function").body == b"function"
    finally:
        first.kill()
        shutil.rmtree(first.folder)
    assert (tmp_path / "portico.sock").exists()
    with Server(bind=bind) as second, second.connect() as connection:
        assert connection.request("/function").body == b"function"
    assert not (tmp_path / "portico.sock").exists()


def test_a_server_leaves_the_socket_of_its_successor(tmp_path: Path) -> None:
    path = tmp_path / "portico.sock"
    with ExitStack() as stack:
        stack.enter_context(Server(bind=f"unix:{path}"))
        path.unlink()
        with Server(bind=f"unix:{path}") as successor:
            stack.close()  # which stops the first one
            with successor.connect() as connection:
                assert connection.request("/function").body == b"function"
    assert not path.exists()


@pytest.mark.parametrize(
    ("binds", "sentence"),
    [
        (["uwsgi://192.0.2.1:3031"], "uwsgi://192.0.2.1:3031: this machine has no address 192.0.2.1"),
        (
            ["scgi+unix:/no/such/folder/a"],
            'scgi+unix:/no/such/folder/a: there is no directory "/no/such/folder"',
        ),
        (["unix:/tmp"], 'unix:/tmp: "/tmp" exists and is no socket'),
        (["unix:a?owner=no-such-user"], '{here}/a?owner=no-such-user: there is no user "no-such-user"'),
        (["fastcgi+unix:b?group=no-such-group"], 'b?group=no-such-group: there is no group "no-such-group"'),
        (["uwsgi+unix:@{long}"], "the name is too long for a socket (200 bytes)"),
    ],
    ids=["address", "folder", "no socket", "user", "group", "long name"],
)
def test_says_why_it_cannot_listen(binds: Sequence[str], sentence: str) -> None:
    found = start_error(*(bind.format(long="x" * 200) for bind in binds))
    assert found.startswith("portico: cannot listen on ")
    assert sentence.format(here=TESTS) in found
    assert found.count("\n") == 1


def test_a_path_may_have_any_bytes(tmp_path: Path) -> None:
    path = os.path.join(tmp_path, os.fsdecode(b"caf\xe9 \xc3\xa9.sock"))
    with Server(options=["-b", f"unix:{path}"]) as server:
        server.error_log.wait_for(r"caf\\udce9 é\.sock$")
        with Connection(path) as connection:
            assert connection.request("/function").body == b"function"
    assert os.listdir(tmp_path) == []
