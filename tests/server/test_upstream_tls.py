"""Other servers over TLS: `https://` in `[[upstream]]`, against OpenSSL's side of it."""

from __future__ import annotations

import datetime
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.members import OK, Member, responds, routed, router, upstream
from support.server import Server, free_port
from support.tls import Authority, TlsMember, Trickle, ends, ends_unsaid
from support.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore:.*TLSv1:DeprecationWarning")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def trusts(authority: Authority) -> str:
    return f'ca = "{authority.file}"'


def status_of(server: Server, target: str = "/") -> int:
    with server.connect() as connection:
        return connection.request(target).status


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_one_session_has_many_requests(
    tmp_path: Path, authority: Authority, trusts: str, version: ssl.TLSVersion
) -> None:
    context = authority.context()
    context.minimum_version = context.maximum_version = version
    member = TlsMember(responds(), context)
    with routed(tmp_path, member, more=trusts) as server, server.connect() as connection:
        for _ in range(5):
            assert connection.request("/").body == b"ok"
        [session] = member.sessions.queue
    shown = f"TLSv{version.name.removeprefix('TLSv').replace('_', '.')}"
    # An address is no name that a server could be asked for (RFC 6066 3).
    assert session == (None, shown, "http/1.1", False, None)


def test_a_name_is_told_and_a_session_is_resumed(tmp_path: Path, authority: Authority, trusts: str) -> None:
    member = TlsMember(
        responds(OK.replace(b"200 OK\r\n", b"200 OK\r\nConnection: close\r\n")), authority.context()
    )
    text = upstream(member.named, more=trusts)
    with router(tmp_path, text) as server:
        for _ in range(3):
            assert status_of(server) == 200
    member.close()
    sessions = [member.sessions.get(timeout=5) for _ in range(3)]
    assert [session.name for session in sessions] == ["localhost"] * 3
    assert [session.is_resumed for session in sessions] == [False, True, True]


def test_large_bodies_go_both_ways_through_a_session(
    tmp_path: Path, authority: Authority, trusts: str
) -> None:
    size = 8 << 20

    def echoes(member: Member, peer: socket.socket) -> None:
        while member.read_head(peer):
            peer.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            left = size
            while left:
                data = peer.recv(min(left, 65536))
                left -= len(data)
                peer.sendall(data)

    body = bytes(range(256)) * (size // 256)
    member = TlsMember(echoes, authority.context())
    with routed(tmp_path, member, more=trusts) as server:
        for _ in range(4):
            # The client's connection ends where a response has begun before the end of the request.
            with server.connect() as connection:
                head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode()
                sender = threading.Thread(target=connection.send, args=(head + body,))
                sender.start()
                response = connection.read_response()
                sender.join(10)
                assert (response.status, response.body == body) == (200, True)
        assert member.sessions.qsize() == 1


def test_records_may_come_byte_by_byte(tmp_path: Path, authority: Authority, trusts: str) -> None:
    trickle = Trickle(TlsMember(responds(), authority.context()))
    with router(tmp_path, upstream(trickle.url, more=trusts)) as server, server.connect() as connection:
        for _ in range(3):
            assert connection.request("/").body == b"ok"
    trickle.close()


def test_blocks_come_as_they_are_sent(tmp_path: Path, authority: Authority, trusts: str) -> None:
    go_on = threading.Event()

    def streams(member: Member, peer: socket.socket) -> None:
        member.read_head(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        go_on.wait(10)
        peer.sendall(b"3\r\ntwo\r\n0\r\n\r\n")

    member = TlsMember(streams, authority.context())
    with routed(tmp_path, member, more=trusts) as server, server.connect() as connection:
        connection.ask("/")
        assert connection.read_head().status == 200
        assert connection.read_exactly(8) == b"3\r\none\r\n"
        go_on.set()
        assert connection.read_exactly(13) == b"3\r\ntwo\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("context", "why"),
    [
        (lambda _, other: other.context(), "UnknownIssuer"),
        (lambda own, _: own.context("10.0.0.1"), "not valid for name"),
        (lambda own, _: own.context("shop.example"), "not valid for name"),
        (
            lambda own, _: own.context(
                "127.0.0.1", not_after=datetime.datetime(2021, 1, 1, tzinfo=datetime.timezone.utc)
            ),
            "expired",
        ),
    ],
    ids=["unknown", "address", "name", "expired"],
)
def test_nobody_is_asked_who_cannot_prove_who_it_is(
    tmp_path: Path,
    authority: Authority,
    stranger: Authority,
    trusts: str,
    context: Callable[[Authority, Authority], ssl.SSLContext],
    why: str,
) -> None:
    member = TlsMember(responds(), context(authority, stranger))
    with routed(tmp_path, member, more=trusts) as server:
        assert status_of(server) == 502
        server.error_log.wait_for(
            f"upstream {member.url}: cannot connect: TLS: .*{why}.*; responded with 502"
        )
    assert member.count == 0


def test_certificates_of_the_system_are_trusted_where_none_are_named(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = TlsMember(responds(), authority.context())
    with routed(tmp_path, member) as server:
        assert status_of(server) == 502
    member = TlsMember(responds(), authority.context())
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with routed(tmp_path, member) as server:
        assert status_of(server) == 200


def test_the_name_may_be_another_than_the_address_says(
    tmp_path: Path, authority: Authority, trusts: str
) -> None:
    member = TlsMember(responds(), authority.context("shop.example"))
    with routed(tmp_path, member, more=f'{trusts}\nserver_name = "Shop.example."') as server:
        assert status_of(server) == 200
    assert member.sessions.get(timeout=5).name == "shop.example"


def test_anybody_is_trusted_where_that_was_said_and_warned_of(tmp_path: Path, stranger: Authority) -> None:
    member = TlsMember(responds(), stranger.context("elsewhere.example"))
    with routed(tmp_path, member, more="verify = false") as server:
        assert status_of(server) == 200
        server.error_log.wait_for(
            rf"verify is false: whoever is between portico and {member.url} can read and change"
        )


def test_a_server_may_ask_who_portico_is(tmp_path: Path, authority: Authority, trusts: str) -> None:
    def asks() -> ssl.SSLContext:
        context = authority.context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.file)
        return context

    own = authority.certify("portico", common_name="portico")
    member = TlsMember(responds(), asks())
    more = f'{trusts}\nclient_certificate = "{own}"\nclient_key = "{own}"'
    with routed(tmp_path, member, more=more) as server:
        assert status_of(server) == 200
    assert member.sessions.get(timeout=5).client == "portico"
    member = TlsMember(responds(), asks())
    with routed(tmp_path, member, more=trusts) as server:
        assert status_of(server) == 502
        server.error_log.wait_for(f"upstream {member.url}: .*TLS: .*CertificateRequired")
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in member.failures.get(timeout=5)


def test_a_body_that_the_end_ends_is_whole_only_if_that_was_said(
    tmp_path: Path, authority: Authority, trusts: str
) -> None:
    """RFC 9112 9.8: "complete only if a valid closure alert has been received"."""
    member = TlsMember(ends, authority.context())
    with routed(tmp_path, member, more=trusts) as server, server.connect() as connection:
        assert connection.request("/").body == b"all of it"
    with routed(tmp_path, TlsMember(ends_unsaid, authority.context()), more=trusts) as server:
        with server.connect() as connection:
            connection.ask("/")
            assert not connection.read_to_end().endswith(b"0\r\n\r\n")
        server.error_log.wait_for("TLS: the connection was closed, and that was not said before")


def test_a_whole_response_needs_no_word_of_the_end(tmp_path: Path, authority: Authority, trusts: str) -> None:
    def closes(member: Member, peer: socket.socket) -> None:
        member.read_head(peer)
        peer.sendall(OK)

    with routed(tmp_path, TlsMember(closes, authority.context()), more=trusts) as server:
        for _ in range(3):
            assert status_of(server) == 200


def test_a_kept_session_that_has_ended_costs_no_request(
    tmp_path: Path, authority: Authority, trusts: str
) -> None:
    """Its end is read before the next request, and otherwise a GET is sent once more."""

    def one(member: Member, peer: socket.socket) -> None:
        member.read_head(peer)
        peer.sendall(OK)
        assert isinstance(peer, ssl.SSLSocket)
        peer.unwrap()

    member = TlsMember(one, authority.context())
    with routed(tmp_path, member, more=trusts) as server, server.connect() as connection:
        for _ in range(20):
            assert connection.request("/").status == 200
    assert member.count == 20


def greets(_: Member, peer: socket.socket) -> None:
    peer.recv(1)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    while peer.recv(65536):
        pass


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_who_speaks_otherwise_is_no_server(
    tmp_path: Path, authority: Authority, trusts: str, scheme: str
) -> None:
    """A plain server at `https://`, and one over TLS at `http://`."""
    member = Member(greets) if scheme == "https" else TlsMember(responds(), authority.context())
    more = trusts if scheme == "https" else ""
    with router(tmp_path, upstream(f"{scheme}://127.0.0.1:{member.port}", more=more)) as server:
        assert status_of(server) == 502
        server.error_log.wait_for("TLS: " if scheme == "https" else "upstream http://")
    member.close()


def test_a_handshake_takes_no_longer_than_a_connection_may(
    tmp_path: Path, authority: Authority, trusts: str
) -> None:
    release = threading.Event()
    member = Member(lambda *_: release.wait(20) and None)
    text = upstream(f"https://127.0.0.1:{member.port}", more=f"{trusts}\nconnect_timeout = 0.3")
    with router(tmp_path, text) as server:
        assert status_of(server) == 504
        server.error_log.wait_for("no connection within 300 ms")
    release.set()
    member.close()


def test_another_member_responds_for_one_that_is_not_trusted(
    tmp_path: Path, authority: Authority, stranger: Authority, trusts: str
) -> None:
    bad, good = TlsMember(responds(), stranger.context()), TlsMember(responds(), authority.context())
    with routed(tmp_path, bad, good, more=f"{trusts}\neject_after = 2") as server:
        for _ in range(6):
            assert status_of(server) == 200
        server.error_log.wait_for(f"upstream {bad.url}: ejected for a while")
    assert (bad.count, good.count) == (0, 6)


def test_health_checks_are_over_tls_too(
    tmp_path: Path, authority: Authority, stranger: Authority, trusts: str
) -> None:
    bad, good = TlsMember(responds(), stranger.context()), TlsMember(responds(), authority.context())
    more = f'{trusts}\nhealth_path = "/readyz"\nhealth_interval = 0.05'
    with routed(tmp_path, bad, good, more=more) as server:
        server.error_log.wait_for(f"upstream {bad.url}: does not respond well to health checks")
        wait_until(lambda: good.count > 2, what="checks of the other")
        assert status_of(server) == 200
        assert f"upstream {good.url}" not in server.log_tail()


def test_a_web_socket_goes_through_a_session(tmp_path: Path, authority: Authority, trusts: str) -> None:
    def handle(member: Member, peer: socket.socket) -> None:
        assert b"\r\nUpgrade: websocket\r\n" in member.read_head(peer)
        peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        while data := peer.recv(1024):
            peer.sendall(data.upper())
        assert isinstance(peer, ssl.SSLSocket)
        peer.unwrap()

    member = TlsMember(handle, authority.context())
    with routed(tmp_path, member, more=trusts) as server, server.connect() as connection:
        connection.ask("/", headers=("Connection: upgrade", "Upgrade: websocket"))
        assert connection.read_head().status == 101
        for _ in range(3):
            connection.send(b"hello")
            assert connection.read_exactly(5) == b"HELLO"
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.read_to_end() == b""


NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate}; ssl_certificate_key {certificate};
        location / {{ proxy_pass http://unix:{folder}/inner.sock; proxy_http_version 1.1; }}
    }}
}}
"""


@pytest.fixture
def nginx(tmp_path: Path, authority: Authority) -> Iterator[str]:
    """An nginx that ends TLS in front of a portico."""
    port = free_port()
    file = tmp_path / "nginx.conf"
    file.write_text(NGINX.format(folder=tmp_path, port=port, certificate=authority.certify("127.0.0.1")))
    with Server(threads=4, bind=f"unix:{tmp_path}/inner.sock"):
        process = subprocess.Popen(["nginx", "-c", str(file)], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: accepts(port), what="nginx")
            yield f"https://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_an_nginx_that_ends_tls_is_a_member(tmp_path: Path, nginx: str, trusts: str) -> None:
    with router(tmp_path, upstream(nginx, more=trusts), threads=4) as server:
        connections = [server.connect() for _ in range(20)]
        for _ in range(20):
            for connection in connections:
                connection.ask("/environ")
            assert {each.read_response().status for each in connections} == {200}
        for connection in connections:
            connection.socket.close()
