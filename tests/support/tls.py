"""Servers over TLS behind a router, by the standard library: certificates, and what each session was like."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import trustme

from support.members import Member


class Session(NamedTuple):
    """A handshake that has succeeded, as the server saw it."""

    name: str | None
    version: str
    protocol: str | None
    is_resumed: bool
    client: str | None
    """The common name of the client's certificate."""


class Authority:
    """Vouches for certificates, each of which is in a file of `folder` with its key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / f"{id(self)}-ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def certify(self, *names: str, **more: Any) -> Path:
        """Return a file with a certificate for these names or addresses, and its key."""
        issued = self._ca.issue_cert(*names, **more)
        file = self._folder / f"{id(issued)}.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(str(file))
        return file

    def context(self, *names: str, **more: Any) -> ssl.SSLContext:
        """Return what a server with such a certificate offers: HTTP/2 first, which portico does not speak."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certify(*(names or ("127.0.0.1", "localhost")), **more))
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context


class TlsMember(Member):
    """A raw server over TLS; `handle` has what is spoken in the session."""

    def __init__(self, handle: Callable[[Member, socket.socket], None], context: ssl.SSLContext) -> None:
        self.sessions: queue.Queue[Session] = queue.Queue()
        self.failures: queue.Queue[str] = queue.Queue()
        self._context = context
        self._names: dict[ssl.SSLObject | ssl.SSLSocket, str | None] = {}
        context.sni_callback = lambda session, name, _: self._names.update({session: name})
        super().__init__(handle, scheme="https")

    @property
    def named(self) -> str:
        """Its address by a name."""
        return f"https://localhost:{self.port}"

    def _run(self, peer: socket.socket) -> None:
        with peer, suppress(OSError):
            try:
                session = self._context.wrap_socket(peer, server_side=True, suppress_ragged_eofs=False)
            except OSError as error:
                self.failures.put(str(error))
                return
            with session:
                self.sessions.put(self._session(session))
                self._handle(self, session)

    def _session(self, session: ssl.SSLSocket) -> Session:
        shown: Any = session.getpeercert() or {}
        client = [value for ((key, value),) in shown.get("subject", ()) if key == "commonName"]
        return Session(
            self._names.get(session),
            session.version() or "",
            session.selected_alpn_protocol(),
            bool(session.session_reused),
            client[0] if client else None,
        )


class Trickle:
    """Passes a connection on to a member one byte at a time, so that no record comes whole."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        client, _ = self._socket.accept()
        with client, socket.create_connection(("127.0.0.1", self._member.port)) as behind:
            for each in (client, behind):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_trickle, args=(behind, client), daemon=True)
            back.start()
            _trickle(client, behind)
            back.join()

    def close(self) -> None:
        """Take no further connection."""
        self._socket.close()
        self._member.close()


def _trickle(source: socket.socket, goal: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            for position in range(len(data)):
                goal.sendall(data[position : position + 1])
        goal.shutdown(socket.SHUT_WR)


def ends(member: Member, peer: socket.socket) -> None:
    """Respond with a body that the end of the connection ends, and say that it is one."""
    member.read_head(peer)
    peer.sendall(b"HTTP/1.0 200 OK\r\n\r\nall of it")
    assert isinstance(peer, ssl.SSLSocket)
    peer.unwrap()


def ends_unsaid(member: Member, peer: socket.socket) -> None:
    """The same, and it is not said."""
    member.read_head(peer)
    peer.sendall(b"HTTP/1.0 200 OK\r\n\r\nall of it")
