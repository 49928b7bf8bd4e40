"""Files that the application names in place of a body: X-Sendfile and X-Accel-Redirect, `--x-sendfile`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from support.gateway import GatewayConnection, fastcgi, variables
from support.gateway_server import read_response
from support.raw_client import Response
from support.server import Server, free_port
from support.static_tree import etag

APPLICATION = "apps.naming:application"
KINDS = ("list", "two", "generator", "write", "wrapper", "real")
LARGE_BYTES = 8 << 20
CONTENT = bytes(range(256)) * 4000
"""More than is sent in one piece, and no multiple of a record of FastCGI."""


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two directories of files, and what stands beside them."""
    folder = tmp_path_factory.mktemp("named")
    media = folder / "media"
    (media / "deep").mkdir(parents=True)
    (media / "ten.txt").write_text("0123456789")
    (media / "deep/\u00e4 %41.bin").write_bytes(b"odd")
    (media / ".thumb").write_bytes(b"thumb")
    (media / "content.bin").write_bytes(CONTENT)
    with (media / "large.bin").open("wb") as file:
        file.truncate(LARGE_BYTES)
    (media / "out.txt").symlink_to("../secret.txt")
    (media / "in.txt").symlink_to("ten.txt")
    (folder / "secret.txt").write_text("secret")
    (folder / "mediaeval").mkdir()
    (folder / "mediaeval/old.txt").write_text("old")
    return media


@pytest.fixture(scope="module")
def gateway() -> tuple[str, int]:
    """Where FastCGI is spoken."""
    return "127.0.0.1", free_port()


@pytest.fixture(scope="module")
def site(media: Path, gateway: tuple[str, int]) -> Iterator[Server]:
    options = ["--x-sendfile", str(media / "deep/.."), "--x-accel-redirect", f"/in ternal={media}"]
    options += ["--static", f"/static={media.parent / 'mediaeval'}", "--compress", "gzip"]
    host, port = gateway
    with Server(APPLICATION, options=[*options, "-b", f"fastcgi://{host}:{port}"]) as running:
        yield running


def target(*headers: str, **parameters: str) -> str:
    parts = [f"h={quote(header, safe='', encoding='latin-1')}" for header in headers]
    return "/?" + "&".join([*parts, *(f"{name}={quote(value)}" for name, value in parameters.items())])


def ask(
    site: Server,
    *headers: str,
    method: str = "GET",
    fields: tuple[str, ...] = (),
    **parameters: str,
) -> Response:
    with site.connect() as connection:
        response = connection.request(target(*headers, **parameters), method=method, headers=fields)
        # Whatever it was, the connection serves the next one.
        assert connection.request("/closed").status == 200
    assert response.get("X-Sendfile") is None
    assert response.get("X-Accel-Redirect") is None
    return response


# --- Which file


@pytest.mark.parametrize(
    ("header", "content"),
    [
        ("X-Sendfile: {media}/ten.txt", b"0123456789"),
        ("x-sendfile: {media}//ten.txt", b"0123456789"),
        ("X-Sendfile: {media}/in.txt", b"0123456789"),
        ("X-Sendfile: {media}/.thumb", b"thumb"),
        ("X-Sendfile: {media}/deep/\u00c3\u00a4 %41.bin", b"odd"),
        ("X-Accel-Redirect: /in%20ternal/ten.txt", b"0123456789"),
        ("X-Accel-Redirect: /in ternal/ten.txt?download=1", b"0123456789"),
        ("X-Accel-Redirect: /in%20ternal/deep/%C3%A4%20%2541.bin", b"odd"),
    ],
)
def test_a_named_file_is_sent(site: Server, media: Path, header: str, content: bytes) -> None:
    response = ask(site, header.format(media=media))
    assert (response.status, response.body) == (200, content)
    assert response.get("Content-Length") == str(len(content))


def test_a_change_of_a_named_file_is_seen_at_once(site: Server, media: Path) -> None:
    """Other small files are kept for a second; but the application may just have written this one."""
    path = media / "changing.txt"
    for number in range(10):
        path.write_text(str(number))
        assert ask(site, f"X-Sendfile: {path}").body == str(number).encode()


@pytest.mark.parametrize(
    ("header", "status", "why"),
    [
        ("X-Sendfile: /etc/passwd", 500, "expected a file below a directory of x_sendfile"),
        ("X-Sendfile: {media}eval/old.txt", 500, "expected a file below a directory of x_sendfile"),
        ("X-Sendfile: {media}/../secret.txt", 500, "expected a file below a directory of x_sendfile"),
        ("X-Sendfile: {media}/deep/../ten.txt", 500, "expected a file below a directory of x_sendfile"),
        ("X-Sendfile: ten.txt", 500, "expected a file below a directory of x_sendfile"),
        ("X-Sendfile: ", 500, "expected a file below a directory of x_sendfile"),
        ("X-Sendfile: {media}/out.txt", 404, "there is no file"),
        ("X-Sendfile: {media}/missing", 404, "there is no file"),
        ("X-Sendfile: {media}/deep", 404, "there is no file"),
        ("X-Sendfile: {media}/ten.txt/", 404, "there is no file"),
        ("X-Sendfile: {media}", 404, "there is no file"),
        ("X-Accel-Redirect: /other/ten.txt", 500, "expected a file below a directory of x_accel_redirect"),
        ("X-Accel-Redirect: /static/old.txt", 500, "expected a file below a directory of x_accel_redirect"),
        ("X-Accel-Redirect: @named", 500, "expected a file below a directory of x_accel_redirect"),
        (
            "X-Accel-Redirect: /in ternal/%2e%2e/secret.txt",
            500,
            "expected a file below a directory of x_accel_redirect",
        ),
        (
            "X-Accel-Redirect: /in ternal/deep%2f../ten.txt",
            500,
            "expected a file below a directory of x_accel_redirect",
        ),
        ("X-Accel-Redirect: {media}/ten.txt", 500, "expected a file below a directory of x_accel_redirect"),
        ("X-Accel-Redirect: /in ternal/missing", 404, "there is no file"),
    ],
)
def test_no_other_file_is_sent_and_the_log_says_why(
    site: Server, media: Path, header: str, status: int, why: str
) -> None:
    header = header.format(media=media)
    start = site.error_log.position()
    response = ask(site, header, "Set-Cookie: a=b")
    name, _, value = header.partition(": ")
    assert response.status == status
    assert b"secret" not in response.body
    assert response.get("Set-Cookie") is None
    said = re.escape(f"at GET /: {name}: {why}")
    line = site.error_log.wait_for(f"{said}.*; responded with {status}", since=start)[0]
    assert f'"{value}"' in line


def test_the_path_of_a_redirect_is_no_url(site: Server) -> None:
    with site.connect() as connection:
        assert connection.request("/in%20ternal/ten.txt").body == b"not sent"


# --- The response


def test_headers_of_the_application_are_kept_but_for_those_of_its_body(site: Server, media: Path) -> None:
    own = ["Content-Type: text/x-own", 'Content-Disposition: attachment; filename="a"', "Set-Cookie: a=b"]
    own += ["Set-Cookie: c=d", "Cache-Control: private", "Expires: 0", "Vary: Cookie", "X-Own: yes"]
    body = ['ETag: "app"', "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT", "Content-Length: 8"]
    body += ["Content-Encoding: gzip", "Content-Range: bytes 0-7/8", "Accept-Ranges: none"]
    response = ask(
        site,
        *own,
        *body,
        f"X-Sendfile: {media}/ten.txt",
        "X-Accel-Buffering: no",
        status="206 Partial Content",
    )
    assert response.status == 200
    for header in own:
        assert header in [f"{name}: {value}" for name, value in response.headers]
    assert response.get("ETag") == etag(media / "ten.txt")
    assert response.get("Last-Modified") != "Thu, 01 Jan 1970 00:00:00 GMT"
    assert (response.get("Content-Length"), response.get("Accept-Ranges")) == ("10", "bytes")
    for name in ("Content-Encoding", "Content-Range", "X-Accel-Buffering"):
        assert response.get(name) is None


def test_a_type_that_the_application_does_not_say_is_that_of_the_name(site: Server, media: Path) -> None:
    for header in ("X-None: 1", "Content-Type: "):
        response = ask(site, header, f"X-Sendfile: {media}/ten.txt")
        assert response.get("Content-Type") == "text/plain; charset=utf-8"
        assert response.get("Cache-Control") is None


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_the_body_is_none_of_it_is_sent(site: Server, media: Path, kind: str) -> None:
    assert ask(site, f"X-Sendfile: {media}/ten.txt", kind=kind).body == b"0123456789"


def test_the_body_is_closed(site: Server, media: Path) -> None:
    assert ask(site, f"X-Sendfile: {media}/ten.txt", kind="closing", key="one").body == b"0123456789"
    with site.connect() as connection:
        assert connection.request("/closed").body == b"one"


def test_what_goes_wrong_after_the_head_was_given(site: Server, media: Path) -> None:
    header = f"X-Sendfile: {media}/ten.txt"
    assert ask(site, header, kind="raise").status == 500
    response = ask(site, header, kind="again")
    assert (response.status, response.reason, response.body) == (500, "Broken", b"another")


@pytest.mark.parametrize(
    ("field", "status", "body"),
    [
        ("If-None-Match: {etag}", 304, b""),
        ("If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT", 304, b""),
        ('If-Match: "other"', 412, None),
        ("Range: bytes=2-4", 206, b"234"),
        ("Range: bytes=-1", 206, b"9"),
        ("Range: bytes=10-", 416, None),
        ('Range: bytes=2-4\r\nIf-Range: "other"', 200, b"0123456789"),
        ("Range: bytes=2-4\r\nIf-Range: {etag}", 206, b"234"),
    ],
)
def test_conditions_and_ranges(
    site: Server, media: Path, field: str, status: int, body: bytes | None
) -> None:
    fields = tuple(field.format(etag=etag(media / "ten.txt")).split("\r\n"))
    for response_status in ("200 OK", "206 Partial Content"):
        response = ask(
            site, "Set-Cookie: a=b", f"X-Sendfile: {media}/ten.txt", fields=fields, status=response_status
        )
        assert response.status == status
        if body is not None:
            assert response.body == body
            assert response.get("Set-Cookie") == "a=b"


def test_several_ranges(site: Server, media: Path) -> None:
    response = ask(
        site,
        "Content-Type: text/x-own",
        f"X-Sendfile: {media}/content.bin",
        fields=("Range: bytes=0-1,500000-500003",),
    )
    assert (response.status, response.body.count(b"\r\nContent-Type: text/x-own\r\n")) == (206, 2)
    assert (response.get("Content-Type") or "").startswith("multipart/byteranges; ")
    assert CONTENT[500_000:500_004] in response.body


def test_a_file_in_place_of_another_page_is_sent_whole(site: Server, media: Path) -> None:
    fields = ("Range: bytes=2-4", f"If-None-Match: {etag(media / 'ten.txt')}")
    response = ask(site, f"X-Sendfile: {media}/ten.txt", fields=fields, status="404 No Such Thing")
    assert (response.status, response.reason, response.body) == (404, "No Such Thing", b"0123456789")
    # Conditions are for GET.
    assert ask(site, f"X-Sendfile: {media}/ten.txt", fields=fields, method="POST").status == 200


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_response_without_a_body_has_none(site: Server, media: Path, status: str) -> None:
    response = ask(site, 'ETag: "app"', f"X-Sendfile: {media}/ten.txt", status=status)
    assert (response.status, response.body) == (int(status[:3]), b"")
    assert response.get("ETag") == '"app"'


def test_head(site: Server, media: Path) -> None:
    response = ask(site, f"X-Sendfile: {media}/content.bin", method="HEAD")
    assert (response.status, response.body) == (200, b"")
    assert response.get("Content-Length") == str(len(CONTENT))


def test_compression_leaves_files_alone(site: Server, media: Path) -> None:
    fields = ("Accept-Encoding: gzip",)
    response = ask(
        site, "Content-Type: text/plain", f"X-Sendfile: {media}/content.bin", fields=fields, kind="two"
    )
    assert (response.get("Content-Encoding"), response.body) == (None, CONTENT)


def test_large_files_take_no_memory(site: Server, media: Path) -> None:
    before = site.memory_bytes()
    with site.connect() as connection:
        connection.ask(target(f"X-Sendfile: {media}/large.bin"))
        assert connection.read_head().get("Content-Length") == str(LARGE_BYTES)
        connection.discard(LARGE_BYTES)
        assert connection.request(target(f"X-Sendfile: {media}/ten.txt")).body == b"0123456789"
    assert site.memory_bytes() - before < 4 << 20


def test_over_fastcgi(site: Server, media: Path, gateway: tuple[str, int]) -> None:
    for fields, body in [((), CONTENT), ((("HTTP_RANGE", "bytes=5-70000"),), CONTENT[5:70001])]:
        with GatewayConnection(gateway) as connection:
            connection.send(fastcgi(variables(target(f"X-Sendfile: {media}/content.bin"), "GET", *fields)))
            assert read_response(connection, "fastcgi").body == body


# --- Where it is off


def test_without_the_setting_headers_are_any_others(media: Path) -> None:
    header = f"X-Sendfile: {media}/ten.txt"
    with (
        Server(APPLICATION, options=["--x-accel-redirect", f"/in={media}"]) as server,
        server.connect() as connection,
    ):
        response = connection.request(target(header))
        assert (response.get("X-Sendfile"), response.body) == (f"{media}/ten.txt", b"not sent")
        response = connection.request(target("X-Accel-Redirect: /in/ten.txt", header))
        assert (response.get("X-Sendfile"), response.body) == (f"{media}/ten.txt", b"0123456789")
