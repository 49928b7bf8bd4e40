"""Which listener a reverse proxy is given, how it says who the client is, and whom portico has to believe."""

from __future__ import annotations

import os
import re

import pytest
from portico.errors import OperatorError

from .made import generated, head_of, option_of, statements, value_of
from .test_agreement import proxy_pass, server_line

REVERSE_PROXIES = ("nginx", "apache", "haproxy")


def passed_to(text: str) -> list[str]:
    """What the locations of an nginx file pass requests on to, in their order."""
    return re.findall(r"_pass (\S+);", text)


def server_of(proxy: str, *arguments: str) -> str:
    """Where the reverse proxy finds portico, as it writes that."""
    text = generated(proxy, "shop", *arguments)
    if proxy == "nginx":
        (server,) = set(re.findall(r"^ *server (\S+?)(?: max_fails=0)?;", text, re.MULTILINE))
        first, *again = dict.fromkeys(passed_to(text))
        assert first.endswith("shop")
        assert [place.removeprefix("http://") for place in again] in ([], [server]), "the same, for a retry"
        return str(server)
    if proxy == "apache":
        return proxy_pass(text).split()[2].strip('"')
    return server_line(text).split()[2]


TCP = {
    "127.0.0.1:81": "127.0.0.1:81",
    "localhost:81": "localhost:81",
    "10.0.0.7:81": "10.0.0.7:81",
    ":81": "127.0.0.1:81",
    "[::]:81": "[::1]:81",
    "[2001:db8::7]:81": "[2001:db8::7]:81",
}


@pytest.mark.parametrize("proxy", REVERSE_PROXIES)
@pytest.mark.parametrize(("bind", "expected"), TCP.items())
def test_a_reverse_proxy_connects_to_the_address(proxy: str, bind: str, expected: str) -> None:
    found = server_of(proxy, "-b", bind)
    assert found == (f"http://{expected}/" if proxy == "apache" else expected)


@pytest.mark.parametrize("bind", ["unix:/run/a.sock?mode=660", "unix:../run/a.sock"])
def test_a_reverse_proxy_connects_to_the_path(bind: str) -> None:
    path = "/run/a.sock" if "mode" in bind else os.path.normpath("/srv/shop/../run/a.sock")
    assert server_of("nginx", "-b", bind, "--chdir", "/srv/shop") == f"unix:{path}"
    assert server_of("apache", "-b", bind, "--chdir", "/srv/shop") == f"unix:{path}|http://shop/"
    assert server_of("haproxy", "-b", bind, "--chdir", "/srv/shop") == f"unix@{path}"


def test_a_reverse_proxy_speaks_what_the_listener_does() -> None:
    for scheme, module in (("uwsgi", "uwsgi"), ("fastcgi", "fastcgi"), ("scgi", "scgi")):
        bind = f"{scheme}://127.0.0.1:81"
        text = generated("nginx", "shop", "-b", bind)
        assert f"{module}_pass shop;" in text
        assert server_of("apache", "-b", bind) == bind.replace("fastcgi", "fcgi") + "/"
    assert passed_to(generated("nginx", "shop"))[0] == "http://shop"
    assert " proto fcgi " in server_line(generated("haproxy", "shop", "-b", "fastcgi://127.0.0.1:81"))
    assert " proto " not in server_line(generated("haproxy", "shop"))


def test_the_first_listener_that_can_be_used_is_taken() -> None:
    binds = (
        "-b",
        "fd://web",
        "-b",
        "unix:@web",
        "-b",
        "http://:80?proxy=required",
        "-b",
        "uwsgi://:81",
        "-b",
        ":82",
    )
    assert server_of("nginx", *binds) == "127.0.0.1:81"
    assert server_of("apache", *binds) == "uwsgi://127.0.0.1:81/"
    assert server_of("haproxy", *binds) == "127.0.0.1:80"


UNUSABLE = {
    "fd://web": "that does not say where the socket listens",
    "unix:@web": "it cannot connect to abstract Unix sockets",
    "127.0.0.1:0": "port 0 is another one at each start",
}


@pytest.mark.parametrize("proxy", REVERSE_PROXIES)
@pytest.mark.parametrize(("bind", "reason"), UNUSABLE.items())
def test_says_why_no_listener_can_be_used(proxy: str, bind: str, reason: str) -> None:
    with pytest.raises(OperatorError) as failure:
        generated(proxy, "shop", "-b", bind)
    name = {"apache": "Apache", "haproxy": "HAProxy"}.get(proxy, proxy)
    sentence = f"{name} can use none of the addresses (--bind on the command line): {bind}: {reason}"
    assert failure.value.message.startswith(sentence)


def test_says_what_a_reverse_proxy_does_not_speak() -> None:
    with pytest.raises(OperatorError) as failure:
        generated("haproxy", "shop", "-b", "uwsgi://:81", "-b", "scgi://:82")
    assert failure.value.message.endswith(
        "uwsgi://0.0.0.0:81: it does not speak uwsgi; scgi://0.0.0.0:82: it does not speak scgi"
    )
    with pytest.raises(OperatorError) as failure:
        generated("nginx", "shop", "-b", "127.0.0.1:81?proxy=required")
    assert failure.value.message.endswith("it sends no PROXY header there")


def test_haproxy_says_by_proxy_header_who_the_client_is() -> None:
    text = generated("haproxy", "shop", "-b", "127.0.0.1:81?proxy=required", "--health-path", "/livez")
    line = server_line(text)
    # -ssl: whether the client came by TLS. The check has to begin with one too.
    assert {"send-proxy-v2-ssl", "check-send-proxy"} <= set(line.split())
    assert option_of(line, "proxy-v2-options") == "crc32c"
    # portico would believe them only of clients that it trusts, and those may say so themselves.
    assert "X-Forwarded" not in text
    assert "send-proxy" not in generated("haproxy", "shop", "-b", "127.0.0.1:81")


def test_haproxy_asks_the_health_path() -> None:
    assert value_of(generated("haproxy", "shop", "--health-path", "/livez"), "http-check send").split()[
        :4
    ] == [
        *("meth", "GET", "uri", "/livez"),
    ]
    for options in ((), ("--health-path", "/livez", "-b", "fastcgi://127.0.0.1:81")):
        text = generated("haproxy", "shop", *options)
        assert "option httpchk" not in text
        assert " check " in server_line(text)


def test_haproxy_is_not_locked_away_from_a_unix_socket() -> None:
    assert value_of(generated("haproxy", "shop"), "chroot") == "/var/lib/haproxy"
    text = generated("haproxy", "shop", "-b", "unix:/run/a.sock")
    assert not [line for line in statements(text) if line.startswith("chroot")]


BELIEVED = [
    ("127.0.0.1:81", "forwarded_allow_ips", "127.0.0.1"),
    ("[::1]:81", "forwarded_allow_ips", "::1"),
    ("10.0.0.7:81", "forwarded_allow_ips", "10.0.0.7"),
    ("unix:/run/a.sock", "forwarded_allow_ips", "unix"),
    ("uwsgi://127.0.0.1:81", "uwsgi_allow_from", "127.0.0.1"),
    ("fastcgi+unix:/run/a.sock", "fastcgi_allow_from", "unix"),
    ("scgi://[::1]:81", "scgi_allow_from", "::1"),
]


@pytest.mark.parametrize(("bind", "setting", "peer"), BELIEVED)
def test_the_head_says_whom_portico_believes(bind: str, setting: str, peer: str) -> None:
    def head(*options: str) -> str:
        return " ".join(head_of(generated("nginx", "shop", "-b", bind, *options)).split())

    option = f"--{setting.replace('_', '-')}"
    assert "portico believes" in head(option, peer)
    assert f"because {setting} is {peer}." in head(option, peer)
    assert f"because {setting} is *." in head(option, "*")
    other = "unix" if peer != "unix" and setting == "forwarded_allow_ips" else "192.0.2.0/24"
    if setting != "forwarded_allow_ips" and peer == "unix":
        return  # a listener that nobody could use is rejected
    found = head(option, other)
    assert "ATTENTION: portico would not believe" in found
    assert f"Start it with {option} {other} {option} {peer}." in found


def test_the_head_says_whom_portico_believes_by_the_proxy_protocol() -> None:
    text = generated(
        "haproxy", "shop", "-b", "fastcgi://127.0.0.1:81?proxy=required", "--proxy-allow-from", "10.0.0.7"
    )
    head = " ".join(head_of(text).split())
    assert "--proxy-allow-from 10.0.0.7 --proxy-allow-from 127.0.0.1." in head
    assert "because fastcgi_allow_from is 127.0.0.0/8 ::1 unix." in head


def test_a_network_covers_its_addresses() -> None:
    options = ("-b", "10.0.0.7:81", "--forwarded-allow-ips", "10.0.0.0/8")
    assert "ATTENTION" not in generated("nginx", "shop", *options)
    assert "ATTENTION" in generated("nginx", "shop", "-b", "11.0.0.7:81", *options[2:])


def test_server_names_are_those_that_were_given() -> None:
    names = ("--server-name", "Shop.example", "--server-name", "*.shop.example")
    assert value_of(generated("nginx", "shop", *names), "server_name") == "shop.example *.shop.example"
    assert value_of(generated("nginx", "shop"), "server_name") == "_"
    text = generated("apache", "shop", *names)
    assert (value_of(text, "ServerName"), value_of(text, "ServerAlias")) == ("shop.example", "*.shop.example")
    assert "use_backend shop if is_shop" in generated("haproxy", "shop", *names)
    assert "default_backend shop" in generated("haproxy", "shop")


LISTENS = {
    "80": (["listen 80;", "listen [::]:80;"], "*:80", ["bind :80", "bind :::80 v6only"]),
    "8080": (["listen 8080;", "listen [::]:8080;"], "*:8080", ["bind :8080", "bind :::8080 v6only"]),
    "10.0.0.7:81": (["listen 10.0.0.7:81;"], "10.0.0.7:81", ["bind 10.0.0.7:81"]),
    "[::1]:81": (["listen [::1]:81;"], "[::1]:81", ["bind [::1]:81"]),
}


@pytest.mark.parametrize("listen", LISTENS)
def test_a_reverse_proxy_listens_where_it_shall(listen: str) -> None:
    nginx, apache, haproxy = LISTENS[listen]
    options = ("--listen", listen) if listen != "80" else ()
    found = [line for line in statements(generated("nginx", "shop", *options)) if line.startswith("listen")]
    assert found == nginx
    lines = statements(generated("apache", "shop", *options))
    assert f"<VirtualHost {apache}>" in lines
    listens = [line for line in lines if line.startswith("Listen ")]
    # Port 80 Debian has already.
    assert listens == ([] if listen == "80" else [f"Listen {apache.removeprefix('*:')}"])
    found = [line for line in statements(generated("haproxy", "shop", *options)) if line.startswith("bind ")]
    assert found == haproxy


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--server-name", "shop example", "--server-name: expected a host name such as shop.example"),
        ("--server-name", "a;b", "--server-name: expected a host name such as shop.example"),
        ("--listen", "here", '--listen: expected PORT or HOST:PORT, got "here"'),
        ("--listen", "0", '--listen: expected PORT or HOST:PORT, got "0"'),
        ("--static", "/static", "--static: expected URL=DIR, such as /static/=/srv/shop/static"),
        ("--static", "static=/srv", "--static: expected URL=DIR"),
        ("--static", "/=/srv", "which leaves nothing for the application"),
        (
            "--static",
            "/passwd=/etc/passwd",
            '--static: expected a directory, got "/etc/passwd", which is none',
        ),
        ("--static", "/static=/srv/$HOME", '"/srv/$HOME/" has the character "$"'),
        ("--static", "/sta{tic=/srv", 'has the character "{"'),
        ("--bind", 'unix:/run/a"b.sock', "has the character"),
        ("--bind", "unix:/run/a;b.sock", "has the character"),
    ],
)
def test_says_what_a_reverse_proxy_cannot_have(option: str, value: str, sentence: str) -> None:
    with pytest.raises(OperatorError) as failure:
        generated("nginx", "shop", option, value)
    assert sentence in failure.value.message


def test_haproxy_serves_no_files() -> None:
    with pytest.raises(OperatorError) as failure:
        generated("haproxy", "shop", "--static", "/static=/srv")
    assert failure.value.message.startswith("--static /static/: HAProxy serves no files")
