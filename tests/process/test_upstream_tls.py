"""Members over TLS that come by an order, and files of TLS that a reload reads anew."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.members import responds
from support.tls import Authority, TlsMember
from support.waiting import wait_until

from .conftest import Start
from .test_upstream_members import Balanced


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def members(authority: Authority) -> Iterator[list[TlsMember]]:
    both = [TlsMember(responds(), authority.context()) for _ in range(2)]
    yield both
    for member in both:
        member.close()


@pytest.fixture
def balanced(start: Start, tmp_path: Path) -> Balanced:
    return Balanced(start, tmp_path, [])


def test_a_member_over_tls_comes_by_an_order(
    balanced: Balanced, authority: Authority, members: list[TlsMember]
) -> None:
    first, second = members
    portico = balanced.start(first.url, more=f'ca = "{authority.file}"')
    assert balanced.change("add", second.named)
    wait_until(lambda: portico.get("/up") == "ok" and second.count > 0, what="a request to the new member")
    assert second.sessions.get(timeout=5).name == "localhost"


def test_a_reload_reads_the_files_anew(
    balanced: Balanced, tmp_path: Path, authority: Authority, members: list[TlsMember]
) -> None:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(Authority(tmp_path).file.read_bytes())
    portico = balanced.start(members[0].url, more='ca = "trusted.pem"')
    assert portico.get("/up").startswith("502")
    trusted.write_bytes(authority.file.read_bytes())
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after", times=2)
    assert portico.get("/up") == "ok"


def test_a_reload_with_a_file_that_cannot_be_used_changes_nothing(
    balanced: Balanced, tmp_path: Path, authority: Authority, members: list[TlsMember]
) -> None:
    portico = balanced.start(members[0].url, more=f'ca = "{authority.file.name}"')
    authority.file.write_text("no certificate")
    portico.signal(signal.SIGHUP)
    portico.wait_for("the configuration was not taken, all stays as it is:")
    assert f'ca: expected a file of certificates in PEM, got "{authority.file}": there' in portico.log()
    assert portico.get("/up") == "ok"
