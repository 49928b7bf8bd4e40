"""portico.process.inherited: sockets that others have opened, by number and by the name that systemd gave."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from portico.config.addresses import parse_address
from portico.errors import BindError
from portico.process.inherited import Activation, read_activation
from portico.process.plan import Listener
from portico.process.sockets import bind_all

NOTHING = "systemd passed on no sockets; was the .socket unit started?"
NOT_OURS = "but this is process 7: systemd has to start portico itself, not a program that starts it"


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"LISTEN_PID": "7", "LISTEN_FDS": "1"}, {3: "unknown"}),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:web"}, {3: "web", 4: "web"}),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:"}, {3: "web", 4: ""}),
    ],
)
def test_reads_what_systemd_passes_on(environment: dict[str, str], names: dict[int, str]) -> None:
    activation = read_activation(environment, pid=7)
    assert (activation.names, activation.fault) == (names, "")


@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        ({}, NOTHING),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "0"}, NOTHING),
        ({"LISTEN_PID": "8", "LISTEN_FDS": "1"}, f'LISTEN_PID is "8", {NOT_OURS}'),
        ({"LISTEN_FDS": "1"}, f'LISTEN_PID is "", {NOT_OURS}'),
        (
            {"LISTEN_PID": "7", "LISTEN_FDS": "-1"},
            'LISTEN_FDS: expected how many sockets there are, got "-1"',
        ),
        (
            {"LISTEN_PID": "7", "LISTEN_FDS": "999999"},
            'LISTEN_FDS: expected how many sockets there are, got "999999"',
        ),
        (
            {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web"},
            "LISTEN_FDNAMES: expected as many names as LISTEN_FDS says, 2, got 1",
        ),
    ],
)
def test_says_why_systemd_passes_on_nothing(environment: dict[str, str], fault: str) -> None:
    activation = read_activation(environment, pid=7)
    assert (activation.names, activation.fault) == ({}, fault)
    with pytest.raises(BindError) as caught:
        activation.descriptors(parse_address("fd://web"))
    assert caught.value.message == f"cannot listen on fd://web: {fault}"
    assert caught.value.exit_code == 4
    # A number needs no systemd.
    assert activation.descriptors(parse_address("fd://5")) == [5]


def test_a_name_is_all_sockets_of_that_name() -> None:
    activation = Activation({3: "web", 4: "admin", 5: "web"})
    assert activation.descriptors(parse_address("fd://web")) == [3, 5]
    assert activation.descriptors(parse_address("uwsgi+fd://admin")) == [4]
    with pytest.raises(BindError) as caught:
        activation.descriptors(parse_address("fd://wed"))
    assert caught.value.message == (
        "cannot listen on fd://wed: systemd passed on no socket of this name (FileDescriptorName=); there is "
        '"web", "admin"'
    )


@contextmanager
def listening(*kinds: str) -> Iterator[list[socket.socket]]:
    """Listening sockets as a parent would have them: blocking; `tcp`, `tcp6`, `unix:PATH` or `unix:@NAME`."""
    with ExitStack() as stack:
        opened = []
        for kind in kinds:
            if kind.startswith("unix:"):
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(kind[5:].replace("@", "\0"))
            else:
                listener = socket.socket(socket.AF_INET6 if kind == "tcp6" else socket.AF_INET)
                listener.bind(("::1" if kind == "tcp6" else "127.0.0.1", 0))
            listener.listen()
            opened.append(stack.enter_context(listener))
        yield opened


def bind(*texts: str, activation: Activation | None = None) -> list[Listener]:
    return bind_all([parse_address(text) for text in texts], backlog=16, activation=activation)


def error_of(*texts: str, activation: Activation | None = None) -> str:
    with pytest.raises(BindError) as caught:
        bind(*texts, activation=activation)
    assert caught.value.exit_code == 4
    return caught.value.message


def test_takes_a_tcp_socket_over_and_tunes_it() -> None:
    with listening("tcp") as [opened]:
        fd, (host, port) = opened.fileno(), opened.getsockname()
        os.set_inheritable(fd, False)
        [listener] = bind(f"uwsgi+fd://{fd}?persistent=on&proxy=required")
        assert (listener.fd, listener.identity) == (fd, None)
        assert listener.display == (f"uwsgi://{host}:{port}?proxy=required&persistent=on (from fd://{fd})")
        assert not os.get_blocking(fd)
        assert os.get_inheritable(fd)
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if hasattr(socket, "TCP_DEFER_ACCEPT"):
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT)


def test_shows_where_an_inherited_socket_is(tmp_path: Path) -> None:
    path = f"{tmp_path}/shop.sock"
    kinds = [f"unix:{path}"]
    if sys.platform == "linux":
        kinds.append(f"unix:@portico-{os.getpid()}")
    with listening(*kinds) as opened:
        listeners = bind(*(f"scgi+fd://{one.fileno()}" for one in opened))
        assert [listener.display for listener in listeners] == [
            f"scgi+{kind} (from fd://{one.fileno()})" for kind, one in zip(kinds, opened, strict=True)
        ]


def test_shows_an_ipv6_address_in_brackets() -> None:
    try:
        with listening("tcp6") as [opened]:
            [listener] = bind(f"fd://{opened.fileno()}")
            port = opened.getsockname()[1]
            assert listener.display == f"http://[::1]:{port} (from fd://{opened.fileno()})"
    except OSError:
        pytest.skip("no IPv6 here")


def test_takes_all_sockets_of_a_name_over() -> None:
    with listening("tcp", "tcp", "tcp") as opened:
        fds = [one.fileno() for one in opened]
        activation = Activation(dict(zip(fds, ["web", "admin", "web"], strict=True)))
        listeners = bind("fd://admin", "uwsgi+fd://web", activation=activation)
        assert [(one.fd, one.address.scheme) for one in listeners] == [
            (fds[1], "http"),
            (fds[0], "uwsgi"),
            (fds[2], "uwsgi"),
        ]
        assert [one.display.rpartition(" ")[2] for one in listeners] == ["fd://admin)"] + ["fd://web)"] * 2


def test_leaves_the_file_of_an_inherited_socket(tmp_path: Path) -> None:
    path = tmp_path / "shop.sock"
    with listening(f"unix:{path}") as [opened]:
        [listener] = bind(f"fd://{os.dup(opened.fileno())}")
        listener.close()
        assert path.exists()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_rejects_one_descriptor_under_two_names() -> None:
    with listening("tcp") as [opened]:
        fd = opened.fileno()
        message = error_of(f"uwsgi+fd://{fd}", "fd://web", activation=Activation({fd: "web"}))
        assert message == (f"cannot listen on fd://web: descriptor {fd} is taken for uwsgi+fd://{fd} already")
        opened.detach()  # it was closed, as all is when one fails


def test_never_takes_a_socket_of_its_own_for_an_inherited_one() -> None:
    # The number that the next descriptor gets.
    fd = os.dup(0)
    os.close(fd)
    assert error_of("127.0.0.1:0", f"fd://{fd}") == (
        f"cannot listen on fd://{fd}: descriptor {fd} is not open: whoever starts portico has to pass it on"
    )


def test_says_what_it_is_if_it_is_no_listening_socket(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with ExitStack() as stack:
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        stack.callback(os.close, writer)
        file = os.open(tmp_path / "file", os.O_RDONLY)
        stack.callback(os.close, file)
        folder = os.open(tmp_path, os.O_RDONLY)
        stack.callback(os.close, folder)
        device = os.open("/dev/null", os.O_RDONLY)
        stack.callback(os.close, device)
        [listener] = stack.enter_context(listening("tcp"))
        connection = stack.enter_context(socket.create_connection(listener.getsockname()))
        datagrams = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        silent = stack.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))
        for fd, what in [
            (reader, "is no socket but a pipe"),
            (file, "is no socket but a file"),
            (folder, "is no socket but a folder"),
            (device, "is no socket but a device"),
            (datagrams.fileno(), "is no stream socket: systemd makes one with ListenStream="),
            (silent.fileno(), "is a socket that does not listen"),
            (
                connection.fileno(),
                "is a connection, not a listening socket: with systemd, Accept= has to be no",
            ),
        ]:
            assert error_of(f"uwsgi+fd://{fd}") == f"cannot listen on uwsgi+fd://{fd}: descriptor {fd} {what}"
            os.fstat(fd)  # it is still open


def test_a_family_without_peers_that_could_be_named_is_rejected() -> None:
    try:
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    except (OSError, AttributeError):
        pytest.skip("no AF_VSOCK here")
    with closing(listener):
        listener.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
        listener.listen()
        assert error_of(f"fd://{listener.fileno()}").endswith("is a socket of neither TCP nor Unix")


def test_closes_at_the_exec_what_no_bind_asks_for() -> None:
    with listening("tcp", "tcp", "tcp") as opened:
        fds = [one.fileno() for one in opened]
        for fd in fds:
            os.set_inheritable(fd, True)
        gone = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 100)
        os.close(gone)
        activation = Activation({**dict(zip(fds, ["web", "admin", "unknown"], strict=True)), gone: "gone"})
        sentences = list(activation.unused([fds[0]]))
        assert [os.get_inheritable(fd) for fd in fds] == [True, False, False]
    advice = "but no --bind asks for it, so nobody accepts there: add --bind fd://"
    assert sentences == [
        f'systemd passed on descriptor {fds[1]} (FileDescriptorName="admin"), {advice}admin, or take it out '
        "of the .socket unit",
        f'systemd passed on descriptor {fds[2]} (FileDescriptorName="unknown"), {advice}{fds[2]}, or take it '
        "out of the .socket unit",
    ]


def test_a_socket_that_takes_fewer_options_serves_all_the_same() -> None:
    multipath = 262  # IPPROTO_MPTCP
    try:
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, multipath)
    except OSError:
        pytest.skip("no multipath TCP here")
    with opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen()
        [listener] = bind(f"fd://{opened.fileno()}")
        assert listener.display.startswith("http://127.0.0.1:")


def test_what_portico_has_stored_itself_is_no_socket_of_a_unit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as kept:
        number = os.fstat(kept.fileno()).st_ino
        names = {kept.fileno(): f"portico.listener.{number}", 99: "web"}
        activation = Activation(names)
        assert activation.names == {99: "web"}
        assert activation.stored
    only_kept = Activation({kept.fileno(): f"portico.listener.{number}"})
    with pytest.raises(BindError, match="systemd passed on no sockets"):
        only_kept.descriptors(parse_address("fd://web"))


def test_a_stored_socket_that_is_promised_but_another_file_is_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = os.fstat(other.fileno()).st_ino
        names = {other.fileno(): f"portico.listener.{number + 1}", 9999: "portico.listener.1"}
        activation = Activation(names)
        assert not activation.stored
        activation.stored.give_back()
        assert other.getsockname()
