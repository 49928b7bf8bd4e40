"""portico.process.sockets: real sockets, and whose fault it is when there is none."""

from __future__ import annotations

import grp
import os
import pwd
import re
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from portico import _core
from portico.config.address import Address
from portico.config.addresses import parse_address
from portico.errors import OperatorError
from portico.process.plan import Listener
from portico.process.sockets import bind_all
from support.server import free_port
from support.waiting import wait_until

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


@contextmanager
def bound(*texts: str) -> Iterator[list[Listener]]:
    listeners = bind_all([parse_address(text) for text in texts], backlog=16)
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


def port_of(listener: Listener, *, end: str = "") -> int:
    found = re.search(rf":(\d+){end}$", listener.display)
    assert found is not None, listener.display
    return int(found[1])


def error_of(*addresses: Address | str) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        bind_all([parse_address(a) if isinstance(a, str) else a for a in addresses], backlog=16)
    assert caught.value.exit_code == 4
    return caught.value


def test_listens_on_tcp_without_blocking_and_inheritable() -> None:
    with bound("127.0.0.1:0") as [listener]:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", listener.display)
        assert not os.get_blocking(listener.fd)
        assert os.get_inheritable(listener.fd)
        with socket.socket(fileno=os.dup(listener.fd)) as found:
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        socket.create_connection(("127.0.0.1", port_of(listener))).close()


@pytest.mark.skipif(not hasattr(socket, "TCP_DEFER_ACCEPT"), reason="Linux only")
def test_defers_accept() -> None:
    with bound("127.0.0.1:0") as [listener], socket.socket(fileno=os.dup(listener.fd)) as found:
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) > 0


def test_listens_on_both_families_with_one_ipv6_wildcard() -> None:
    with bound("[::]:0") as [listener]:
        socket.create_connection(("127.0.0.1", port_of(listener))).close()
        socket.create_connection(("::1", port_of(listener))).close()


def test_leaves_ipv4_to_an_address_of_its_own() -> None:
    port = free_port("::")
    with bound(f"[::]:{port}", f"0.0.0.0:{port}") as listeners:
        assert [listener.display for listener in listeners] == [
            f"http://[::]:{port}",
            f"http://0.0.0.0:{port}",
        ]


def test_names_the_process_that_holds_a_port() -> None:
    with bound("127.0.0.1:0") as [listener]:
        message = error_of(f"127.0.0.1:{port_of(listener)}").message
    assert message.startswith(
        f"cannot listen on 127.0.0.1:{port_of(listener)}: the port is in use by process "
    )
    if os.path.exists("/proc/net/tcp"):
        assert f"process {os.getpid()} (" in message


def test_closes_what_it_had_when_a_later_address_fails(tmp_path: Path) -> None:
    path = tmp_path / "first.sock"
    error_of(f"unix:{path}", f"unix:{tmp_path}/none/second.sock")
    assert not path.exists()


def test_says_that_an_address_is_not_of_this_machine() -> None:
    assert "this machine has no address 192.0.2.1" in error_of("192.0.2.1:80").message


@pytest.mark.parametrize("text", ["uwsgi://127.0.0.1:0", "fastcgi://127.0.0.1:0", "scgi://127.0.0.1:0"])
def test_defers_accept_whatever_is_spoken(text: str) -> None:
    with bound(f"{text}?proxy=required") as [listener]:
        port = port_of(listener, end=r"\?proxy=required")
        assert listener.display == f"{text.removesuffix('0')}{port}?proxy=required"
        assert str(listener.address) == listener.display
        with socket.socket(fileno=os.dup(listener.fd)) as found:
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) > 0


def test_gives_a_unix_socket_its_mode_and_removes_it_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    with bound(f"unix:{path}?mode=640"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()


def test_replaces_a_stale_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with bound(f"unix:{path}"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_leaves_a_unix_socket_that_is_listened_on(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    with bound(f"unix:{path}"):
        message = error_of(f"unix:{path}").message
        assert re.fullmatch(
            rf"cannot listen on unix:{path}: process {os.getpid()} \(.+\) listens there", message
        )
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_leaves_a_file_that_is_no_socket(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("keep me")
    assert "exists and is no socket" in error_of(f"unix:{path}").message
    assert path.read_text() == "keep me"


def test_leaves_the_socket_of_a_successor(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    with bound(f"unix:{path}"):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(path))
    assert path.exists()


@pytest.mark.parametrize(
    ("path", "sentence"),
    [("none/shop.sock", "there is no directory"), ("x" * 200, "the path is too long for a socket")],
)
def test_explains_why_there_is_no_unix_socket(tmp_path: Path, path: str, sentence: str) -> None:
    assert sentence in error_of(Address(path=str(tmp_path / path))).message


def test_leaves_a_unix_socket_of_another_sort(tmp_path: Path) -> None:
    path = tmp_path / "log.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(str(path))
        assert (
            error_of(f"unix:{path}").message == f"cannot listen on unix:{path}: another process listens there"
        )
    assert path.exists()


def test_a_group_may_connect_to_what_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    group = grp.getgrgid(os.getgid()).gr_name
    with bound(f"unix:{path}?group={group}"):
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, os.getgid())


def test_an_explicit_mode_wins_over_that_of_a_group(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    with bound(f"unix:{path}?group={os.getgid()}&mode=600"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_leaves_the_umask_as_it_was(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        with bound(
            f"unix:{tmp_path}/a?mode=666", f"unix:{tmp_path}/b", f"unix:{tmp_path}/c?owner={os.getuid()}"
        ):
            modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "abc"]
        error_of(f"unix:{tmp_path}/none/a?mode=666")
    finally:
        left = os.umask(umask)
    assert (modes, left) == ([0o666, 0o750, 0o750], 0o027)


@as_root
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("owner=nobody", ("nobody", "root", 0o755)),
        ("group=daemon", ("root", "daemon", 0o660)),
        ("owner=nobody&group=daemon&mode=620", ("nobody", "daemon", 0o620)),
        ("owner={nobody}&group={daemon}", ("nobody", "daemon", 0o660)),
        ("owner=0&group=0", ("root", "root", 0o660)),
    ],
)
def test_gives_a_unix_socket_to_a_user_and_a_group(
    tmp_path: Path, options: str, expected: tuple[str, str, int]
) -> None:
    path = tmp_path / "shop.sock"
    options = options.format(nobody=pwd.getpwnam("nobody").pw_uid, daemon=grp.getgrnam("daemon").gr_gid)
    umask = os.umask(0o022)
    try:
        with bound(f"unix:{path}?{options}"):
            assert (path.owner(), path.group(), stat.S_IMODE(path.stat().st_mode)) == expected
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
    finally:
        os.umask(umask)
    assert not path.exists()


@as_root
def test_gives_away_a_number_without_a_name(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    with bound(f"unix:{path}?owner=54321&group=4294967294"):
        assert (path.stat().st_uid, path.stat().st_gid) == (54321, 4294967294)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("owner=no-such-user", 'there is no user "no-such-user"'),
        ("group=no-such-group", 'there is no group "no-such-group"'),
        ("owner=\u00b2", 'there is no user "\\xb2"'),
    ],
)
def test_says_that_there_is_no_such_user_or_group(tmp_path: Path, options: str, sentence: str) -> None:
    address = f"unix:{tmp_path}/shop.sock?{options}"
    assert error_of(address).message == f"cannot listen on {address}: {sentence}"
    assert not (tmp_path / "shop.sock").exists()


# What is imported later may be where only root can read.
AS_NOBODY = """
import encodings.unicode_escape, grp, os, pwd, sys
sys.path[:0] = {path!r}
from portico.config.addresses import parse_address
from portico.errors import BindError
from portico.process.sockets import bind_all
from support.server import free_port
from support.waiting import wait_until
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    bind_all([parse_address(sys.argv[1])], backlog=1)
except BindError as error:
    print(error.message)
"""


@as_root
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("owner=root", 'no permission to give the socket to user "root": that takes root'),
        (
            "owner=nobody&group=daemon",
            'no permission to give the socket to group "daemon": that takes root, or a member of the group',
        ),
        ("owner=65534&group=65534", ""),
    ],
)
def test_says_that_giving_away_takes_permission(options: str, sentence: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # where others than root may enter
        os.chmod(folder, 0o777)
        address = f"unix:{folder}/shop.sock?{options}"
        source = AS_NOBODY.format(path=sys.path)
        found = subprocess.run(
            [sys.executable, "-c", source, address], capture_output=True, text=True, check=True
        )
        assert found.stdout == (f"cannot listen on {address}: {sentence}\n" if sentence else "")
        assert os.path.exists(f"{folder}/shop.sock") == (not sentence), found.stdout


@linux
def test_listens_on_an_abstract_socket() -> None:
    name = f"portico-{os.getpid()}-\u00e9"
    with bound(f"uwsgi+unix:@{name}") as [listener]:
        assert listener.display == f"uwsgi+unix:@{name}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"\0{name}")
        message = error_of(f"unix:@{name}").message
        assert re.fullmatch(
            rf"cannot listen on unix:@{name}: process {os.getpid()} \(.+\) listens there", message
        )
    with bound(f"unix:@{name}"):
        pass  # nothing was left behind


@linux
def test_explains_why_there_is_no_abstract_socket() -> None:
    message = error_of("unix:@" + "x" * 200).message
    assert message.endswith("the name is too long for a socket (200 bytes)")


def test_connections_that_nobody_has_accepted_are_counted(tmp_path: Path) -> None:
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        assert _core.unaccepted_connections(listening.fileno()) == 0
        for _ in range(3):
            stack.enter_context(socket.create_connection(listening.getsockname()))
        wait_until(lambda: _core.unaccepted_connections(listening.fileno()) == 3, what="three connections")
        listening.accept()[0].close()
        assert _core.unaccepted_connections(listening.fileno()) == 2
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.bind(str(tmp_path / "socket"))
        local.listen()
        assert _core.unaccepted_connections(local.fileno()) is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        _core.unaccepted_connections(2_000_000)
