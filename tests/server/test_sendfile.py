"""Real files through `wsgi.file_wrapper`: the kernel moves the bytes."""

from __future__ import annotations

from support.raw_client import request_bytes
from support.server import Server


def test_files_in_a_pipeline(server: Server, key: str) -> None:
    target = f"/file-wrapper?kind=real&size=102400&length=102400&key={key}"
    with server.connect() as connection:
        connection.send((request_bytes(target) + request_bytes("/function")) * 10)
        for _ in range(10):
            assert connection.read_response().body == bytes(range(256)) * 400
            assert connection.read_response().body == b"function"
    assert server.recorder.wait_for(key, "close", count=10) == ["close"] * 10


def test_a_real_file_has_a_length_on_http_1_0(server: Server, key: str) -> None:
    with server.connect() as connection:
        response = connection.request(f"/file-wrapper?kind=real&size=10240&key={key}", version="HTTP/1.0")
    assert response.body == bytes(range(256)) * 40


def test_head_of_a_file_sends_none_of_it(server: Server, key: str) -> None:
    with server.connect() as connection:
        head = connection.request(f"/file-wrapper?kind=real&size=102400&key={key}", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert connection.request("/function").body == b"function"
    assert server.recorder.wait_for(key, "close") == ["close"]


def test_files_leave_no_descriptors_behind(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.request(f"/file-wrapper?kind=real&size=1024&key={key}")
        before = server.descriptor_count()
        for _ in range(50):
            connection.request(f"/file-wrapper?kind=real&size=1024&key={key}")
        server.recorder.wait_for(key, "close", count=51)
        assert server.descriptor_count() <= before + 2


def test_the_data_does_not_pass_through_python(server: Server, key: str) -> None:
    """The file is never read in the application's process; one without a descriptor is."""
    with server.connect() as connection:
        for kind in ("real", "memory"):
            target = f"/file-wrapper?kind={kind}&size=1024000&length=1024000&key={key}-{kind}"
            assert connection.request(target).body == bytes(range(256)) * 4000
    assert server.recorder.events(f"{key}-real reads") == []
    assert "read" in server.recorder.events(f"{key}-memory reads")


def test_a_large_file_needs_no_memory(server: Server) -> None:
    before = server.memory_bytes()
    with server.connect() as connection:
        connection.ask("/real-file?size=64")
        assert connection.read_head().get("Content-Length") == str(64 << 20)
        connection.discard(64 << 20)
    assert server.memory_bytes() - before < 8 << 20
