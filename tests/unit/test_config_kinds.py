"""portico.config.kinds: what is read as which value, and what is not."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from portico.config.addresses import FORMS, AddressError
from portico.config.kinds import (
    AccessLog,
    AddressText,
    Choice,
    ContentCoding,
    Directory,
    EnvironmentVariable,
    FieldText,
    Flag,
    HaproxyName,
    HaproxyWords,
    Kind,
    LogFile,
    MediaType,
    MountPath,
    Network,
    Place,
    Size,
    StaticDirectory,
    StaticDirectoryOrAuto,
    UrlPath,
)
from portico.config.unfit import UnfitError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("127.0.0.1", "127.0.0.1"),
        (" ::1 ", "::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("fd00::/8", "fd00::/8"),
        ("UNIX", "unix"),
        ("*", "*"),
    ],
)
def test_reads_peers(text: str, value: str) -> None:
    read = Network().parse(text)
    assert (type(read), read) == (str, value)


@pytest.mark.parametrize(
    "text",
    ["", "proxy", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "010.0.0.1", "fe80::1%eth0", "fd00::1/8", "1", "**"],
)
def test_rejects_what_is_no_peer(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        Network().parse(text)


def test_reading_peers_is_all_that_needs_the_library() -> None:
    """Supervisor and workers hold the table, and every module they load is in their memory."""
    source = "import sys, portico.config.settings; print('ipaddress' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


@pytest.mark.parametrize("text", ["/", "/healthz", "/a/b;c=%20"])
def test_reads_paths(text: str) -> None:
    assert UrlPath().parse(f" {text} ") == text


@pytest.mark.parametrize("text", ["", "healthz", "/a b", "/a?b", "/a#b", "/\xe4", "/\x7f", "http://a/"])
def test_rejects_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        UrlPath().parse(text)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (LogFile(), "OFF", "off"),
        (LogFile(), " off ", "off"),
        (LogFile(), "./off", "./off"),
        (LogFile(), "offline.log", "offline.log"),
        (LogFile("auto or a path", ("auto",)), "Auto", "auto"),
        (AccessLog(), "Off", "off"),
        (AccessLog(), "JournalD", "journald"),
        (AccessLog(), "Syslog:unix:/Run/Log", "syslog:unix:/Run/Log"),
        (AccessLog(), "Logs:today", "Logs:today"),
        (StaticDirectoryOrAuto(), "AUTO", "auto"),
    ],
)
def test_a_word_is_one_in_any_case(kind: Kind[str], text: str, value: str) -> None:
    assert kind.parse(text) == value


@pytest.mark.parametrize("text", ["None", "false", "Stdout", "stderr", "TRUE", "1"])
def test_a_word_of_others_is_no_file(text: str) -> None:
    with pytest.raises(UnfitError) as raised:
        AccessLog().parse(text)
    assert raised.value.got == text
    assert raised.value.expected.endswith(f"or journald (./{text} for a file of that name)")


@pytest.mark.parametrize(("text", "value"), [("true", True), (" True ", True), ("FALSE", False)])
def test_reads_yes_and_no(text: str, value: bool) -> None:
    assert Flag().parse(text) is value


@pytest.mark.parametrize("text", ["", "1", "yes", "on", "t", "strict"])
def test_rejects_what_is_neither_yes_nor_no(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        Flag().parse(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        *(
            ("/shop", "/shop"),
            (" /shop/ ", "/shop"),
            ("/a/b//", "/a/b"),
            ("/caf\xe9/my shop", "/caf\xe9/my shop"),
        ),
        *(("/", ""), ("", "")),
    ],
)
def test_reads_where_something_is_mounted(text: str, path: str) -> None:
    assert MountPath().parse(text) == path
    assert MountPath().parse(MountPath().show(path)) == path


@pytest.mark.parametrize(
    "text", ["shop", "//", "//shop", "/\\shop", "/a%20b", "/a?b", "/a#b", "/a\nb", "/\udc80", "http://a/b"]
)
def test_rejects_where_nothing_can_be_mounted(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        MountPath().parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("/static=public", "/static=public"),
        (" /static/=/srv/a=b,c/ ", "/static=/srv/a=b,c/"),
        ("/=public", "/=public"),
    ],
)
def test_reads_what_is_served_below_a_path(text: str, value: str) -> None:
    assert StaticDirectory().parse(text) == value
    assert StaticDirectory().parse(StaticDirectory().show(value)) == value


def test_takes_a_relative_directory_from_the_files_folder() -> None:
    assert StaticDirectory().from_folder("/static=public", "/srv/shop") == "/static=/srv/shop/public"
    assert StaticDirectory().from_folder("/static=/a", "/srv/shop") == "/static=/a"


def test_directories_may_be_those_that_the_application_has() -> None:
    kind = StaticDirectoryOrAuto()
    assert kind.parse(" auto ") == "auto"
    assert kind.from_folder("auto", "/srv/shop") == "auto"
    assert kind.parse("/static/=public") == "/static=public"
    assert kind.from_folder("/static=public", "/srv/shop") == "/static=/srv/shop/public"
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        kind.parse("automatic")


@pytest.mark.parametrize(
    "text", ["", "/static", "/static=", "=public", "static=public", "/a%20b=public", "//=public", "/a=b\0c"]
)
def test_rejects_what_serves_nothing(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        StaticDirectory().parse(text)


@pytest.mark.parametrize(
    ("text", "value"), [("shop/1.2 (x)", "shop/1.2 (x)"), (" a ", "a"), ("", ""), ("none", ""), ("None", "")]
)
def test_reads_the_value_of_a_header(text: str, value: str) -> None:
    assert FieldText().parse(text) == value
    assert FieldText().parse(FieldText().show(value)) == value


@pytest.mark.parametrize("text", ["a\r\nX: b", "a\tb", "caf\xe9", "a\x7f", "a\0"])
def test_rejects_what_is_no_value_of_a_header(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        FieldText().parse(text)


def test_holds_a_size_to_its_minimum() -> None:
    assert Size(64).parse("64") == 64
    assert Size().parse("0") == 0
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        Size(64).parse("63")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8000", "127.0.0.1:8000"),
        ("0", "127.0.0.1:0"),
        ("localhost", "localhost:8000"),
        ("10.0.0.1", "10.0.0.1:8000"),
        ("[::1]", "[::1]:8000"),
        (":80", "0.0.0.0:80"),
    ],
)
def test_completes_an_address(text: str, address: str) -> None:
    assert AddressText().parse(text) == address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/run/a.sock", "unix: before the path of a Unix socket, as in unix:/run/a.sock"),
        ("./a", "unix: before the path of a Unix socket, as in unix:./a"),
        ("shop.sock", "unix: before the path of a Unix socket, as in unix:shop.sock"),
        ("uwsgi:///run/a", "uwsgi+unix: before the path of a Unix socket, as in uwsgi+unix:/run/a"),
        ("*:80", ":80 for all of IPv4, or [::]:80 for IPv6 as well"),
        ("99999", "a port from 0 to 65535"),
        ("shop", FORMS),
        ("unix", FORMS),
    ],
)
def test_says_which_address_was_meant(text: str, expected: str) -> None:
    with pytest.raises(AddressError) as caught:
        AddressText().parse(text)
    assert caught.value.expected == expected


@pytest.mark.parametrize(
    ("kind", "text", "parts"),
    [
        (AddressText(), ":80, :81", [":80", ":81"]),
        (AddressText(), ":80,", [":80"]),
        (AddressText(), ",", [","]),
        (AddressText(), "unix:/a,b", ["unix:/a,b"]),
        (Network(), "10.0.0.0/8,unix", ["10.0.0.0/8", "unix"]),
        (UrlPath(), "/a,b", ["/a,b"]),
        (EnvironmentVariable(), "A=1,B=2", ["A=1,B=2"]),
        (Directory(), "a,b", ["a,b"]),
    ],
)
def test_splits_where_no_value_can_hold_a_comma(kind: Kind[Any], text: str, parts: list[str]) -> None:
    assert kind.split(text) == parts


def test_reads_synonyms() -> None:
    kind = Choice("info", "warning", synonyms=(("warn", "warning"),))
    assert (kind.parse("WARN"), kind.metavar) == ("warning", "info|warning")


@pytest.mark.parametrize(
    ("text", "coding"),
    [
        ("gzip", "gzip"),
        (" ZSTD", "zstd"),
        ("br", "br"),
        ("x-gzip", "gzip"),
        ("none", "none"),
        ("off", "none"),
    ],
)
def test_reads_codings(text: str, coding: str) -> None:
    assert ContentCoding().parse(text) == coding


@pytest.mark.parametrize("text", ["", "deflate", "brotli", "gzip,zstd", "identity"])
def test_rejects_what_is_no_coding(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        ContentCoding().parse(text)


@pytest.mark.parametrize("text", ["text/html", "text/*", "application/*+json", "image/svg+xml"])
def test_reads_media_types(text: str) -> None:
    assert MediaType().parse(f" {text.upper()} ") == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "/html",
        "text/",
        "text/html; charset=utf-8",
        "*/*+json",
        "text/ht ml",
        "a/b/c",
        "t\xe9xt/a",
    ],
)
def test_rejects_what_is_no_media_type(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        MediaType().parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        (" localhost:9000 ", "127.0.0.1:9000"),
        ("[::1]:9000", "[::1]:9000"),
        (":9000", "0.0.0.0:9000"),
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("OFF", "off"),
    ],
)
def test_reads_places(text: str, value: str) -> None:
    assert Place("off", has_paths=True).parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", "web1:9000", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "9000", "auto"),
        *(
            "unix:/run/a.sock?mode=660",
            "unix:@a",
            "uwsgi://127.0.0.1:9000",
            "fd://3",
            "127.0.0.1:90?proxy=required",
        ),
    ],
)
def test_rejects_what_is_no_place(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        Place("off", has_paths=True).parse(text)


@pytest.mark.parametrize("kind", [HaproxyName(), HaproxyWords()], ids=["name", "words"])
@pytest.mark.parametrize("text", ["", " ", "a;b", "a\nb;c", "a#b", "a\\;b", "a\x00", "\u00e4", "a'b", 'a"b'])
def test_nothing_ends_a_command_to_haproxy(kind: Kind[str], text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it carries no message by contract
        kind.parse(text)


def test_words_to_haproxy_are_one_line() -> None:
    assert HaproxyWords().parse(" check\n  inter 2s ") == "check inter 2s"
    assert HaproxyName().parse(" web-1.shop:80_a ") == "web-1.shop:80_a"
