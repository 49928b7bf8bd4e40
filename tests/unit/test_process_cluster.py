"""The parts of portico.process.cluster that need no HAProxy: what it says is read, whatever it does."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

import pytest
from portico.process.cluster.conversation import Conversation
from portico.process.cluster.places import reached, read_place
from portico.process.cluster.servers import Report
from portico.process.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.cluster.places import Place

HEAD = (
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state "
    "srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl"
)
REPLY = f"""New server registered.


Name: HAProxy
Version: 2.6.12
Pid: 4711
Uptime_sec: 1

1
{HEAD}
3 shop 1 web1 10.0.0.11 2 0 100 100 1 6 3 4 6 22 0 0 - 8000 - 0
3 shop 2 web2 - 0 9 1 1 1 1 0 0 8 0 0 0 - 0 - 0
3 shop 3 web3 ::1 0 12 1 1 1 1 0 0 8 0 0 0 - 8001 - 0

"""


@pytest.mark.parametrize(
    ("name", "place", "state"),
    [
        ("web1", ("10.0.0.11", 8000), "ready"),
        ("web2", None, "in maintenance"),
        ("web3", ("::1", 8001), "draining"),
    ],
)
def test_reads_a_server(name: str, place: Place | None, state: str) -> None:
    report = Report(REPLY, name)
    assert (report.pid, report.words) == (4711, "New server registered.")
    assert report.server is not None
    assert (report.server.place, report.server.state) == (place, state)


def test_a_server_that_is_not_there_is_none() -> None:
    assert Report(REPLY, "web4").server is None


NO_TABLES = ["", "\n", "Permission denied\n\n", "Name: HAProxy\nPid: 1\n\nCan't find backend.\n\n"]


@pytest.mark.parametrize("text", NO_TABLES)
def test_what_is_no_table_is_told_in_its_own_words(text: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the message is what is compared
        Report(text, "web1")
    assert str(raised.value) == (text.strip().splitlines() or [""])[-1]


def test_a_response_that_breaks_off_is_read_or_rejected() -> None:
    for end in range(len(REPLY)):
        with contextlib.suppress(ValueError):
            Report(REPLY[:end], "web1")


@pytest.mark.parametrize("column", ["srv_name", "srv_addr", "srv_port", "srv_admin_state"])
def test_a_table_without_a_column_is_none(column: str) -> None:
    with pytest.raises(ValueError, match="be_id"):
        Report(REPLY.replace(column, "other"), "web1")


@pytest.mark.parametrize(
    ("place", "through", "found"),
    [
        (("10.0.0.1", 80), ("10.0.0.9", 4711), ("10.0.0.1", 80)),
        (("0.0.0.0", 80), ("10.0.0.9", 4711), ("10.0.0.9", 80)),
        (("0.0.0.0", 80), ("", 0), ("127.0.0.1", 80)),
        (("::", 80), ("", 0), ("::1", 80)),
        (("::", 80), ("10.0.0.9", 4711), ("10.0.0.9", 80)),
        (("/run/shop.sock", 0), ("10.0.0.9", 4711), ("/run/shop.sock", 0)),
    ],
)
def test_a_place_on_all_addresses_is_where_the_other_end_reaches_it(
    place: Place, through: Place, found: Place
) -> None:
    assert reached(place, through) == found


def test_reads_a_place() -> None:
    assert read_place("unix:/run/a.sock") == ("/run/a.sock", 0)
    assert read_place("[::1]:9000") == ("::1", 9000)


def heard(conversation: Conversation, loop: Loop) -> Conversation:
    """The conversation once it is over."""
    until_s = time.monotonic() + 10
    while not conversation.is_over and time.monotonic() < until_s:
        loop.wait([conversation.until_s], first=lambda now_s: None)
        conversation.look(time.monotonic())
    return conversation


def begin(place: Place, loop: Loop) -> Conversation:
    return Conversation(loop, place, "show info", now_s=time.monotonic())


@pytest.mark.parametrize(
    ("path", "why"), [("nobody.sock", "No such file or directory"), ("x" * 200, "AF_UNIX path too long")]
)
def test_a_conversation_with_nobody_fails(tmp_path: Path, path: str, why: str) -> None:
    loop = Loop()
    assert heard(begin((str(tmp_path / path), 0), loop), loop).failure == why


def test_a_conversation_that_is_reset_fails() -> None:
    loop = Loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        conversation = begin(server.getsockname(), loop)
        connection, _ = server.accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        assert heard(conversation, loop).failure == "Connection reset by peer"


def test_a_conversation_has_all_that_is_said_until_the_end() -> None:
    loop = Loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        conversation = begin(server.getsockname(), loop)
        connection, _ = server.accept()
        with connection:
            loop.wait([conversation.until_s], first=lambda now_s: None)
            assert connection.recv(100) == b"show info\n"
            connection.sendall(b"Name: ")
            connection.sendall(b"HAProxy\n")
        assert (heard(conversation, loop).reply, conversation.failure) == ("Name: HAProxy\n", "")
        assert conversation.end[0] == "127.0.0.1"
