"""A DNS server on loopback, over UDP and TCP, whose records a test changes; authoritative for everything."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset


class DnsServer:
    """`records` has the texts of each name and type, with their TTL; `along` is what comes in addition.

    `is_silent`: it reads, and does not respond. `truncates`: over UDP it says that TCP has more. `fails`: it
    responds with SERVFAIL; so it does for the names that are `failing`.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.records: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self.along: dict[str, list[tuple[str, str]]] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.failing: set[str] = set()
        self.over_tcp = 0
        self.is_silent = self.truncates = self.fails = False
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            self._udp.bind((host, port))
            self.port: int = self._udp.getsockname()[1]
            try:
                self._tcp = socket.create_server((host, self.port))
            except OSError:
                if port:
                    raise
                self._udp.close()
                self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            else:
                break
        self.url = f"dns://{host}:{self.port}"
        for run in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=run, daemon=True).start()

    def set(
        self, name: str, kind: str, *texts: str, ttl: int = 1, along: list[tuple[str, str]] | None = None
    ) -> None:
        """Have these records from now on; `along` are names and types that come with them."""
        self.records[name, kind] = (ttl, list(texts))
        self.along[name] = along or []

    def remove(self, name: str) -> None:
        """The name does not exist any more."""
        self.records = {key: value for key, value in self.records.items() if key[0] != name}

    def close(self) -> None:
        self._udp.close()
        with contextlib.suppress(OSError):
            self._tcp.shutdown(socket.SHUT_RDWR)
        self._tcp.close()

    def _serve_udp(self) -> None:
        while True:
            try:
                wire, peer = self._udp.recvfrom(4096)
                response = self._respond(wire)
                if response is None:
                    continue
                self._udp.sendto(self._datagram(response), peer)
            except OSError:
                return

    def _datagram(self, response: dns.message.Message) -> bytes:
        if not self.truncates:
            with contextlib.suppress(dns.exception.TooBig):
                return response.to_wire()
        response.answer, response.additional = [], []
        response.flags |= dns.flags.TC
        return response.to_wire()

    def _serve_tcp(self) -> None:
        while True:
            try:
                peer, _ = self._tcp.accept()
            except OSError:
                return
            with peer, peer.makefile("rb") as file:
                wire = file.read(int.from_bytes(file.read(2), "big"))
                response = self._respond(wire)
                if response is not None:
                    self.over_tcp += 1
                    data = response.to_wire(max_size=65535)
                    peer.sendall(len(data).to_bytes(2, "big") + data)

    def _respond(self, wire: bytes) -> dns.message.Message | None:
        query = dns.message.from_wire(wire)
        [question] = query.question
        name, kind = question.name.to_text().rstrip(".").lower(), dns.rdatatype.to_text(question.rdtype)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        if self.fails or name in self.failing:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        else:
            response.answer = self._sets(name, kind)
            for key in self.along.get(name, ()) if kind == "SRV" else ():
                response.additional += self._sets(*key)
        self.asked[name, kind] += 1
        return None if self.is_silent else response

    def _sets(self, name: str, kind: str) -> list[dns.rrset.RRset]:
        if (name, kind) not in self.records and (name, "CNAME") in self.records:
            ttl, [target] = self.records[name, "CNAME"]
            return [
                dns.rrset.from_text(f"{name}.", ttl, "IN", "CNAME", f"{target}."),
                *self._sets(target, kind),
            ]
        ttl, texts = self.records.get((name, kind), (0, []))
        return [dns.rrset.from_text_list(f"{name}.", ttl, "IN", kind, texts)] if texts else []
