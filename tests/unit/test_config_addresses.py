"""portico.config.addresses: what --bind accepts."""

from __future__ import annotations

import pytest
from portico.config.address import SCHEMES, Address
from portico.config.addresses import FORMS, AddressError, parse_address, parse_port

ATTRIBUTES = Address.__slots__


def attributes(address: Address) -> dict[str, object]:
    return {name: getattr(address, name) for name in ATTRIBUTES}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8000", Address(host="127.0.0.1", port=8000)),
        ("localhost:0", Address(host="localhost", port=0)),
        (":8000", Address(host="0.0.0.0", port=8000)),
        ("[::1]:8000", Address(host="::1", port=8000)),
        ("http:8000", Address(host="http", port=8000)),
        ("http://127.0.0.1:8000", Address(host="127.0.0.1", port=8000)),
        ("uwsgi://:3031", Address(scheme="uwsgi", host="0.0.0.0", port=3031)),
        ("fastcgi://[::]:9000", Address(scheme="fastcgi", host="::", port=9000)),
        ("scgi://localhost:4000", Address(scheme="scgi", host="localhost", port=4000)),
        ("unix:run/shop.sock", Address(path="run/shop.sock")),
        ("unix:/run/shop.sock", Address(path="/run/shop.sock")),
        ("unix:///run/shop.sock", Address(path="/run/shop.sock")),
        ("unix://run/shop.sock", Address(path="run/shop.sock")),
        ("unix:/run/a://b", Address(path="/run/a://b")),
        ("unix:/run/a+b:c", Address(path="/run/a+b:c")),
        ("http+unix:/run/shop.sock", Address(path="/run/shop.sock")),
        ("uwsgi+unix:/run/shop.sock", Address(scheme="uwsgi", path="/run/shop.sock")),
        ("fastcgi+unix:///run/shop.sock", Address(scheme="fastcgi", path="/run/shop.sock")),
        ("scgi+unix:shop.sock", Address(scheme="scgi", path="shop.sock")),
        ("unix:@shop", Address(path="shop", is_abstract=True)),
        ("uwsgi+unix://@shop", Address(scheme="uwsgi", path="shop", is_abstract=True)),
        ("unix:./@shop", Address(path="./@shop")),
        ("fd://3", Address(fd=3)),
        ("uwsgi+fd://12", Address(scheme="uwsgi", fd=12)),
        ("fd://shop.socket", Address(fd_name="shop.socket")),
        ("scgi+fd://nginx@1", Address(scheme="scgi", fd_name="nginx@1")),
        ("unix:/run/shop.sock?mode=660", Address(path="/run/shop.sock", mode=0o660)),
        ("unix:/a?mode=0600", Address(path="/a", mode=0o600)),
        (
            "fastcgi+unix:/a?stderr=on&group=www-data&owner=1000&mode=640&proxy=required",
            Address(
                scheme="fastcgi",
                path="/a",
                mode=0o640,
                owner="1000",
                group="www-data",
                proxy=True,
                stderr=True,
            ),
        ),
        (":8000?proxy=required", Address(host="0.0.0.0", port=8000, proxy=True)),
        (
            "uwsgi+fd://3?persistent=on&proxy=required",
            Address(scheme="uwsgi", fd=3, proxy=True, persistent=True),
        ),
    ],
)
def test_reads_an_address(text: str, address: Address) -> None:
    read = parse_address(text)
    assert attributes(read) == attributes(address)
    # It passes through an exec as text.
    assert attributes(parse_address(str(read))) == attributes(address)


@pytest.mark.parametrize(
    ("text", "expected", "got"),
    [
        ("", FORMS, ""),
        ("8000", FORMS, "8000"),
        ("unix", FORMS, "unix"),
        ("a b:80", FORMS, "a b:80"),
        ("127.0.0.1/a:80", FORMS, "127.0.0.1/a:80"),
        ("host:", "a port from 0 to 65535", ""),
        ("host:http", "a port from 0 to 65535", "http"),
        ("host:65536", "a port from 0 to 65535", "65536"),
        ("host:-1", "a port from 0 to 65535", "-1"),
        ("host:\u0663", "a port from 0 to 65535", "\u0663"),
        ("http://a:80/shop", "a port from 0 to 65535", "80/shop"),
        ("host:" + "9" * 5000, "a port from 0 to 65535", "9" * 5000),
        ("::1:8000", "brackets around an IPv6 address, as in [::1]:8000", "::1:8000"),
        ("uwsgi://fe80::1:80", "brackets around an IPv6 address, as in [fe80::1]:80", "fe80::1:80"),
        ("::1", "brackets around an IPv6 address, as in [::1]:8000", "::1"),
        ("::", "brackets around an IPv6 address, as in [::]:8000", "::"),
        ("2001:db8::", "brackets around an IPv6 address, as in [2001:db8::]:8000", "2001:db8::"),
        (
            "1:2:3:4:5:6:7:8",
            "brackets around an IPv6 address, as in [1:2:3:4:5:6:7:8]:8000",
            "1:2:3:4:5:6:7:8",
        ),
        ("=:8000", FORMS, "=:8000"),
        ("[host]:80", "an IPv6 address in the brackets", "host"),
        ("[::1]", "a port after the brackets, as in [::1]:8000", "[::1]"),
        ("http://127.0.0.1", "HOST:PORT after http://", "127.0.0.1"),
        ("uwsgi://", "HOST:PORT after uwsgi://", ""),
        ("http://me@host:80", "HOST:PORT after http://", "me@host:80"),
        ("ftp://host:21", "one of the schemes http, uwsgi, fastcgi, scgi", "ftp"),
        ("HTTP://host:80", "one of the schemes http, uwsgi, fastcgi, scgi", "HTTP"),
        ("://host:80", "one of the schemes http, uwsgi, fastcgi, scgi", ""),
        ("fcgi+unix:/a", "one of the schemes http, uwsgi, fastcgi, scgi", "fcgi"),
        ("+unix:/a", "one of the schemes http, uwsgi, fastcgi, scgi", ""),
        ("uwsgi+tcp://:80", "uwsgi+unix:PATH or uwsgi+fd://N", "uwsgi+tcp"),
        ("scgi+fd:3", "scgi+unix:PATH or scgi+fd://N", "scgi+fd"),
        ("unix:", "a path or @NAME after unix:", ""),
        ("uwsgi+unix://", "a path or @NAME after uwsgi+unix:", ""),
        ("unix:@", "a path or @NAME after unix:", "@"),
        ("fd://", "a descriptor from 3 on or a name after fd://", ""),
        ("fd://2", "a descriptor from 3 on or a name after fd://", "2"),
        ("uwsgi+fd://" + "9" * 5000, "a descriptor from 3 on or a name after uwsgi+fd://", "9" * 5000),
        ("fd://3/", "a descriptor from 3 on or a name after fd://", "3/"),
        ("fd://a:b", "a descriptor from 3 on or a name after fd://", "a:b"),
        ("unix:a?", "one of the options mode, owner, group, proxy after ?", ""),
        ("unix:a?user=me", "one of the options mode, owner, group, proxy after ?", "user=me"),
        ("unix:a?mode=660&", "one of the options mode, owner, group, proxy after ?", ""),
        ("unix:a?Mode=660", "one of the options mode, owner, group, proxy after ?", "Mode=660"),
        (":80?backlog=3", "one of the options proxy after ?", "backlog=3"),
        ("uwsgi://:80?x", "one of the options proxy, persistent after ?", "x"),
        ("unix:a?mode=660&mode=600", "the option mode only once", "mode=660&mode=600"),
        (":80?proxy=required&proxy=required", "the option proxy only once", "proxy=required&proxy=required"),
        (":80?mode=660", "the path of a Unix socket for the option mode", ":80"),
        ("unix:@a?owner=me", "the path of a Unix socket for the option owner", "unix:@a"),
        ("fd://3?group=web", "the path of a Unix socket for the option group", "fd://3"),
        ("scgi://:80?persistent=on", "the scheme uwsgi for the option persistent", "scgi://:80"),
        ("unix:a?stderr=on", "the scheme fastcgi for the option stderr", "unix:a"),
        *(
            (f"unix:a?mode={mode}", "up to three octal digits for mode, such as 660", mode)
            for mode in ("", "888", "7777", "1000", "00660", "0o660", "6_0", "+60", "rw")
        ),
        ("unix:a?mode", "up to three octal digits for mode, such as 660", ""),
        ("unix:a?owner=", "a name or a number for owner", ""),
        ("unix:a?group=4294967295", "a name or a number for group", "4294967295"),
        ("unix:a?owner=" + "9" * 5000, "a name or a number for owner", "9" * 5000),
        (":80?proxy=on", "proxy=required, or no such option", "proxy=on"),
        (":80?proxy", "proxy=required, or no such option", "proxy"),
        ("uwsgi://:80?persistent=yes", "persistent=on, or no such option", "persistent=yes"),
        ("fastcgi://:80?stderr=off", "stderr=on, or no such option", "stderr=off"),
    ],
)
def test_says_what_was_expected_where(text: str, expected: str, got: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert (caught.value.expected, caught.value.got) == (expected, got)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://0.0.0.0:80", "0.0.0.0:80"),
        ("[::1]:8000", "[::1]:8000"),
        ("http+unix:///a", "unix:/a"),
        ("unix:////a", "unix:/a"),
        ("scgi+unix://@a", "scgi+unix:@a"),
        ("http+fd://web", "fd://web"),
        ("uwsgi+fd://3", "uwsgi+fd://3"),
        ("uwsgi://:1?persistent=on&proxy=required", "uwsgi://0.0.0.0:1?proxy=required&persistent=on"),
        ("unix:/a?group=2&owner=b&mode=000", "unix:/a?mode=0&owner=b&group=2"),
    ],
)
def test_shows_an_address_in_one_way(text: str, shown: str) -> None:
    assert str(parse_address(text)) == shown


@pytest.mark.parametrize(
    ("text", "display"),
    [
        (":80", "http://0.0.0.0:80"),
        ("[::1]:80?proxy=required", "http://[::1]:80?proxy=required"),
        ("unix:/a?mode=660&group=web", "unix:/a"),
        ("uwsgi+unix:/a?mode=660&persistent=on", "uwsgi+unix:/a?persistent=on"),
        ("fastcgi+unix:@a?stderr=on", "fastcgi+unix:@a?stderr=on"),
        ("scgi://:4000", "scgi://0.0.0.0:4000"),
        ("fd://3", "fd://3"),
    ],
)
def test_log_lines_show_a_url_and_the_options_that_peers_notice(text: str, display: str) -> None:
    assert parse_address(text).display() == display


def test_a_place_is_the_same_whatever_is_spoken_there() -> None:
    for place in (":80", "[::1]:80"):
        plain = parse_address(place).place
        assert {parse_address(f"{scheme}://{place}?proxy=required").place for scheme in SCHEMES} == {plain}
    for place in ("unix:/a", "unix:@a", "fd://3", "fd://web"):
        assert {parse_address(f"{scheme}+{place}").place for scheme in SCHEMES} == {place}
    assert parse_address("unix:a?mode=600").place == "unix:a"


def test_addresses_are_equal_if_their_texts_are() -> None:
    assert parse_address(":80") == parse_address("http://0.0.0.0:80")
    assert hash(parse_address(":80")) == hash(parse_address("http://0.0.0.0:80"))
    assert parse_address(":80") != parse_address(":80?proxy=required")
    assert repr(parse_address("unix:a")) == "<Address unix:a>"


def test_reads_a_port() -> None:
    assert [parse_port(text) for text in ("0", "80", "65535")] == [0, 80, 65535]
