"""portico.config.routes: the table of routes, what it finds, and what a file makes of it."""

from __future__ import annotations

import itertools
import json
import marshal
import random
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from portico.commands.all import commands
from portico.config.file import FileValues, read_file
from portico.config.find_file import find_file
from portico.config.routes.hosts import read_host
from portico.config.routes.kinds import ResolverAddress, ServerName, UpstreamAddress
from portico.config.routes.outcome import location, outcome
from portico.config.routes.request import decoded_path, read_request
from portico.config.routes.table import (
    ENCODED_SLASH,
    Action,
    Found,
    Route,
    Routes,
    needs_no_application,
    request_host,
)
from portico.config.sources import resolve
from portico.config.unfit import UnfitError
from portico.errors import OperatorError

CORPUS = Path(__file__).parents[1] / "corpus" / "routes"
NAMES = sorted(path.stem for path in CORPUS.glob("*.toml"))


def lines_of(name: str, word: str) -> list[list[str]]:
    """The lines of NAME.txt that begin with `word`, without it."""
    lines = map(str.split, (CORPUS / f"{name}.txt").read_text("utf-8").splitlines())
    return [line[1:] for line in lines if line[0] == word]


REQUESTS = [
    *((name, "0", *line) for name in NAMES for line in lines_of(name, "request")),
    *((name, *line) for name in NAMES for line in lines_of(name, "after")),
]


def routes_of(text: str) -> Routes:
    """The routes of a file without mistakes, in the working directory."""
    Path("portico.toml").write_text(text, "utf-8")
    file = find_file(None, {})
    assert file is not None
    assert file.mistakes == []
    assert file.routes is not None
    return file.routes


def read_corpus(name: str) -> Routes:
    file = read_file(str(CORPUS / f"{name}.toml"), {})
    assert file.mistakes == []
    assert file.routes is not None
    return file.routes


def decoded(path: str) -> str:
    return "" if path == "-" else decoded_path(path)


def encoded(path: str) -> str:
    return urllib.parse.quote(path, errors="surrogateescape", safe="/+*") or "-"


def fields(route: Route) -> list[str]:
    """A row, as a line of the corpus."""
    return [
        route.host or "*",
        "exact" if route.is_exact else "prefix",
        encoded(route.path or "/"),
        "strip" if route.action.strips else "whole",
        route.action.table,
        route.action.origin.split(":")[-2],
    ]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_the_corpus_are_those_of_its_file(name: str) -> None:
    routes = read_corpus(name)
    assert [fields(route) for route in routes.routes] == lines_of(name, "row")
    assert [[str(routes.unknown_host)]] == lines_of(name, "unknown_host")


@pytest.mark.parametrize(
    "line",
    REQUESTS,
    ids=[f"{name}: {host} {target} after {after}" for name, after, host, target, *_ in REQUESTS],
)
def test_a_request_of_the_corpus_finds_its_row(line: Sequence[str]) -> None:
    name, before, host, target, *expected = line
    routes = read_corpus(name)
    after = routes.routes[int(before) - 1] if before != "0" else None
    found = routes.find("" if host == "-" else host, decoded(target), after=after)
    if found.route is None:
        shown = [str(found.status)]
    else:
        number = routes.routes.index(found.route) + 1
        shown = [str(number), encoded(found.script_name), encoded(found.path_info)]
    assert shown == expected


def test_the_corpus_is_large_enough() -> None:
    assert len(REQUESTS) >= 60
    assert {path.stem for path in CORPUS.glob("*.txt")} == set(NAMES)


def random_routes(chance: random.Random) -> Routes:
    """A table of names and paths that are near to each other; no two rows are for the same."""
    labels = ["a", "b", "example", "x-a"]
    hosts = ["", *(".".join(chance.choices(labels, k=chance.randint(1, 3))) for _ in range(6))]
    hosts += [f"*.{host}" for host in hosts if host]
    parts = ["a", "b", "ab", "a b"]
    paths = [
        "",
        *("".join(f"/{part}" for part in chance.choices(parts, k=chance.randint(1, 3))) for _ in range(8)),
    ]
    where = {
        (chance.choice(hosts), chance.choice(paths), chance.random() < 0.3, chance.random() < 0.2)
        for _ in range(chance.randint(1, 20))
    }
    return Routes(
        [
            Route(host, path or ("/" if is_exact else ""), action, is_exact=is_exact)
            for host, path, is_exact, falls_back in sorted(where, key=lambda _: chance.random())
            for action in [Action("static", {"fallback": "app" if falls_back else "none"}, "")]
        ]
    )


def more_specific(one: Route, other: Route) -> bool:
    """Whether `one` goes before `other`, of two that take the same request."""
    if one.host != other.host:
        # Exact before all below, these before any; of two wildcards that of more labels.
        return labels_of(one.host) > labels_of(other.host)
    if one.path != other.path:
        # Both are how the same path begins.
        return one.path.startswith(other.path)
    if one.is_exact != other.is_exact:
        return one.is_exact
    return one.action.falls_back and not other.action.falls_back


def labels_of(host: str) -> tuple[int, int]:
    return (0 if not host else 1 if host.startswith("*") else 2, host.count("."))


def takes(route: Route, host: str, path: str) -> bool:
    """Whether a row takes a request, by lists of labels and segments."""
    labels, wanted = host.split("."), route.host.split(".")
    if route.host.startswith("*"):
        if len(labels) < len(wanted) or labels[-len(wanted) + 1 :] != wanted[1:]:
            return False
    elif route.host and labels != wanted:
        return False
    if route.is_exact:
        return path == route.path
    segments, mount = path.split("/"), route.path.split("/")
    return segments[: len(mount)] == mount


@pytest.mark.parametrize("seed", range(150))
def test_the_row_that_is_found_is_the_most_specific_of_all_that_fit(seed: int) -> None:
    chance = random.Random(seed)
    routes = random_routes(chance)
    names = [route.host.replace("*", chance.choice(["a", "b.a"])) or "c" for route in routes.routes]
    for host, base in itertools.product([*names, "example", "z"], routes.routes):
        path = (base.path or "/") + chance.choice(["", "/", "/a", "b", "/a b/", "//"])
        fitting = [route for route in routes.routes if takes(route, host, path)]
        best = [one for one in fitting if all(one is two or more_specific(one, two) for two in fitting)]
        found = routes.find(host.upper() + chance.choice(["", ":80"]), path)
        assert [found.route] == (best or [None])
        assert found.status == (0 if best else 404)
        assert len(best) == min(len(fitting), 1)


@pytest.mark.parametrize("seed", range(20))
def test_rows_that_fall_back_are_followed_by_the_next_that_fits(seed: int) -> None:
    routes = random_routes(random.Random(seed))
    for route in routes.routes:
        host, path = route.host.replace("*", "z"), route.path or "/"
        fitting = [each for each in routes.routes if takes(each, host, path)]
        tried = []
        found = routes.find(host, path)
        while found.route is not None:
            tried.append(found.route)
            found = routes.find(host, path, after=found.route)
        assert tried == fitting


def test_script_name_and_path_info_are_the_path() -> None:
    for name, host, target, *_ in REQUESTS:
        found = read_corpus(name).find(host, decoded(target))
        assert found.script_name + found.path_info == decoded(target).replace(ENCODED_SLASH, "/")


@pytest.mark.parametrize("seed", range(30))
def test_applications_get_the_script_name_that_werkzeug_would_give_them(seed: int) -> None:
    dispatcher = pytest.importorskip("werkzeug.middleware.dispatcher").DispatcherMiddleware
    chance = random.Random(seed)
    mounts = sorted({"".join(chance.choices(["/a", "/b", "/ab"], k=chance.randint(1, 3))) for _ in range(5)})
    routes = Routes([Route("", mount, Action("app", {"strip": True}, "")) for mount in ["", *mounts]])

    def tell(environ: dict[str, str], start_response: object) -> list[str]:
        return [environ["SCRIPT_NAME"], environ["PATH_INFO"]]

    dispatching = dispatcher(tell, dict.fromkeys(mounts, tell))
    for _ in range(40):
        path = "".join(chance.choices(["/", "/a", "/b", "a", "//", "/ab"], k=chance.randint(0, 5)))
        found = routes.find("a.example", f"/{path}")
        expected = dispatching({"SCRIPT_NAME": "", "PATH_INFO": f"/{path}"}, None)
        assert [found.script_name, found.path_info] == expected, f"/{path}"


@pytest.mark.parametrize("name", NAMES)
def test_plain_values_cross_an_exec(name: str) -> None:
    routes = read_corpus(name)
    loaded = Routes.load(marshal.loads(marshal.dumps(routes.dump(), 2)))
    assert loaded == routes
    assert [fields(route) for route in loaded.routes] == [fields(route) for route in routes.routes]
    assert len(loaded.actions) == len({id(route.action) for route in routes.routes})


def test_plain_values_have_all_that_was_said() -> None:
    routes = routes_of(
        """
[routes]
unknown_host = 421
[[app]]
app = "shop"
mount = "/shop"
threads = 4
env = { A = "1" }
[[redirect]]
host = "a.example"
to = "https://b.example/?x"
"""
    )
    env = (("A", "1"),)
    assert routes.dump() == [
        421,
        "portico.toml:3:16",
        [
            [
                "redirect",
                [("to", "https://b.example/?x"), ("append", False), ("status", 307)],
                "portico.toml:9:1",
            ],
            [
                "app",
                [("strip", True), ("app", "shop"), ("threads", 4), ("env", env)],
                "portico.toml:4:1",
            ],
        ],
        [
            ["a.example", "", 0, 0, "portico.toml:10:8", ""],
            ["", "/shop", 0, 1, "", "portico.toml:6:9"],
        ],
    ]


def test_the_table_is_light_for_supervised_processes() -> None:
    import subprocess
    import sys

    loaded = subprocess.run(
        [sys.executable, "-c", "import portico.config.routes.table, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    ours = {name for name in loaded if name.startswith("portico.config")}
    assert ours == {"portico.config", "portico.config.routes", "portico.config.routes.table"}
    assert not {"typing", "dataclasses", "urllib.parse", "ipaddress"} & set(loaded)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Shop.Example.COM", "shop.example.com"),
        (" shop.example.com. ", "shop.example.com"),
        ("*.Example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("my_app-1", "my_app-1"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::0001]", "[::1]"),
        ("[::FFFF:1.2.3.4]", "[::ffff:102:304]"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("xn--strae-oqa.example", "xn--strae-oqa.example"),
        (f"{'a' * 63}.b", f"{'a' * 63}.b"),
    ],
)
def test_a_host_is_read_as_it_is_compared(text: str, host: str) -> None:
    try:
        mapped = read_host(text)
    except UnfitError as error:
        pytest.fail(str(error))
    assert mapped.replace("::ffff:1.2.3.4", "::ffff:102:304") == host
    assert read_host(mapped) == mapped


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a..b",
            ".",
            "*.",
            "a.*",
            "**.a",
            "*a.b",
            "a:b",
            "[::1",
            "::1]",
            "[fe80::1%eth0]",
            "[1.2.3.4]",
            "1.2.3",
        ),
        *("a/b", "a?b", "user@a", "http://", "-a", "a-", "a.1", "*.1", "a\tb", "a\0", f"{'a' * 64}.b"),
        *("a." * 130, "ß.example", "a\u200db.example", "\u2665" * 70),
    ],
)
def test_what_is_no_host_is_rejected(text: str) -> None:
    with pytest.raises(UnfitError):
        read_host(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("A.example:80", "a.example"),
        ("a.example.", "a.example"),
        ("[::1]:80", "[::1]"),
        ("[::1]", "[::1]"),
        ("[::1", "[::1"),
        ("", ""),
        (":80", ""),
    ],
)
def test_the_host_of_a_request_has_no_port(text: str, host: str) -> None:
    assert request_host(text) == host


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("http://A.example", "http://a.example:80"),
        ("HTTPS://a.example/", "https://a.example:443"),
        ("http://10.0.0.1:8000", "http://10.0.0.1:8000"),
        ("uwsgi://[::1]:9000", "uwsgi://[::1]:9000"),
        ("fastcgi://php:9000", "fastcgi://php:9000"),
        ("unix:run/a.sock", "unix:/srv/run/a.sock"),
        ("unix:///run/a,b.sock", "unix:/run/a,b.sock"),
        ("http+unix:/run/a.sock", "unix:/run/a.sock"),
        ("uwsgi+unix:a.sock", "uwsgi+unix:/srv/a.sock"),
        ("fastcgi+unix:@shop", "fastcgi+unix:@shop"),
        ("unix:@shop", "unix:@shop"),
        ("SRV+http://_HTTP._tcp.Shop.example./", "srv+http://_http._tcp.shop.example"),
        ("srv+HTTPS://_https._tcp.shop.example", "srv+https://_https._tcp.shop.example"),
    ],
)
def test_an_upstream_is_read_whole(text: str, address: str) -> None:
    kind = UpstreamAddress()
    assert kind.split(text) == [text]
    assert kind.from_folder(kind.parse(text), "/srv") == address
    assert kind.parse(address) == address


@pytest.mark.parametrize(
    "text",
    [
        "srv+http://a:80",
        "srv+unix:/a",
        "srv+http://a..b",
        "srv+https://_https._tcp",
        "https+unix:/a",
        "unix:",
        "unix:@",
        "unix:/a?b",
        "http://[::1",
        "http://:80",
        "http://a:",
        "scgi://a:1",
    ],
)
def test_what_is_no_upstream_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - some carry no message by contract
        UpstreamAddress().parse(text)


@pytest.mark.parametrize(
    ("text", "resolver"),
    [
        ("System", "system"),
        ("dns", "dns"),
        ("DNS://127.0.0.1", "dns://127.0.0.1:53"),
        ("dns://127.0.0.1:8600/", "dns://127.0.0.1:8600"),
        ("dns://[::1]", "dns://[::1]:53"),
        ("dns://[0::1]:8600", "dns://[::1]:8600"),
    ],
)
def test_a_resolver_is_a_word_or_a_server(text: str, resolver: str) -> None:
    kind = ResolverAddress()
    assert kind.parse(text) == resolver
    assert kind.parse(resolver) == resolver


@pytest.mark.parametrize(
    "text", ["", "hosts", "dns:", "dns://", "dns://a", "tls://127.0.0.1", "dns://127.0.0.1:x"]
)
def test_what_is_no_resolver_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - some carry no message by contract
        ResolverAddress().parse(text)


@pytest.mark.parametrize(
    ("to", "rest", "expected"),
    [
        ("/new", "", "/new"),
        ("/new", "/a?b", "/new/a?b"),
        ("/new/", "/a", "/new/a"),
        ("/new", "?b", "/new?b"),
        ("/", "/a", "/a"),
        ("/", "//evil.example", "/evil.example"),
        ("/", "/\\/evil.example", "/evil.example"),
        ("/", "/", "/"),
        ("https://a.example", "/a", "https://a.example/a"),
        ("https://a.example/", "//b", "https://a.example//b"),
    ],
)
def test_a_redirect_leads_to_its_place_and_what_is_appended(to: str, rest: str, expected: str) -> None:
    assert location(to, rest) == expected


def test_upstreams_are_called_by_their_name_or_by_their_first_place() -> None:
    routes = routes_of(
        """
        [[upstream]]
        name = "search"
        mount = "/search"
        to = "http://a"

        [[upstream]]
        host = ["b.example", "a.example"]
        mount = ["/y", "/x y"]
        to = "http://b"

        [[upstream]]
        to = "http://c"

        [[upstream]]
        host = "*.example"
        to = "http://d"

        [[app]]
        app = "a:b"
        mount = "/c"
        """
    )
    names = {name: action.values["to"] for name, action in routes.upstreams.items()}
    assert names == {
        "search": ("http://a:80",),
        "a.example/x y": ("http://b:80",),
        "/": ("http://c:80",),
        "*.example/": ("http://d:80",),
    }
    assert Routes.load(routes.dump()).upstreams.keys() == names.keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[static]]\nroot = "."\n', True),
        ('[[redirect]]\nto = "https://a.example"\n', True),
        ('[[respond]]\nhost = "a"\n[[redirect]]\nhost = ["*.b", "b"]\nto = "https://a"\n', True),
        ('[[static]]\nroot = "."\nfallback = "app"\n[[respond]]\nstatus = 404\n', True),
        ('[[respond]]\nhost = "a"\nmount = "/a"\n[[respond]]\n', True),
        ('[[upstream]]\nmount = "/a"\nto = "http://a"\n', True),
        ('[[respond]]\n[[app]]\nmount = "/a"\napp = "a"\n', False),
        ('[[static]]\nroot = "."\nmount = "/static"\n', False),
        ('[[respond]]\npath = "/"\n', False),
        ('[[respond]]\nhost = "a"\n[[respond]]\nhost = "b"\nmount = "/b"\n', False),
        ('[[respond]]\nhost = "a"\n[[respond]]\nmount = "/b"\n', False),
        ('[routes]\nunknown_host = 421\n[[respond]]\nhost = "a"\n[[respond]]\nmount = "/b"\n', True),
    ],
)
def test_rows_that_take_all_requests_need_no_application(text: str, expected: bool) -> None:
    routes = routes_of(text)
    assert needs_no_application(routes.dump()) is expected
    taken = [routes.find(host, path) for host in ("a", "b", "x.b", "c") for path in ("/", "/b", "/x")]
    if expected and routes.unknown_host and not routes.upstreams:
        assert {found.status for found in taken} <= {0, 421}


def outcome_of(text: str, path: str, query: str = "") -> dict[str, object]:
    request = read_request([f"https://a.example{path}{query}"])
    found: Found = routes_of(text).find(request.host, request.path)
    return outcome(found, request)


@pytest.mark.parametrize(
    ("text", "path", "query", "expected"),
    [
        ("[[app]]\napp = 'a'\nmount = '/a'\n", "/a/b", "?c", {"SCRIPT_NAME": "/a", "PATH_INFO": "/b"}),
        ("[[static]]\nroot = '/srv'\nmount = '/a'\n", "/a/b c", "", {"file": ["/srv/b c"]}),
        (
            "[[static]]\nroot = '/srv'\nindex = ['a', 'b']\n",
            "/x/",
            "",
            {"file": ["/srv/x/a", "/srv/x/b"]},
        ),
        (
            "[[upstream]]\nto = 'http://a'\nmount = '/a'\n",
            "/a/é",
            "?c",
            {"to": ["http://a:80"], "target": "/a/%C3%A9?c"},
        ),
        (
            "[[upstream]]\nto = 'http://a'\nmount = '/a'\nstrip = true\n",
            "/a",
            "",
            {"to": ["http://a:80"], "target": "/"},
        ),
        (
            "[[upstream]]\nto = 'uwsgi+unix:/a'\nmount = '/a'\nstrip = true\n",
            "/a",
            "?c",
            {"to": ["uwsgi+unix:/a"], "SCRIPT_NAME": "/a", "PATH_INFO": "/"},
        ),
        (
            "[[upstream]]\nto = ['http://a', 'fastcgi://a:1']\nmount = '/a'\n",
            "/a/é",
            "?c",
            {
                "to": ["http://a:80", "fastcgi://a:1"],
                "target": "/a/%C3%A9?c",
                "SCRIPT_NAME": "",
                "PATH_INFO": "/a/é",
            },
        ),
        (
            "[[redirect]]\nto = 'https://b.example/x'\nmount = '/a'\nstatus = 301\n",
            "/a/b c",
            "?d",
            {"status": 301, "location": "https://b.example/x/b%20c?d"},
        ),
        (
            "[[redirect]]\nto = '/b'\npath = '/a'\nappend = false\n",
            "/a",
            "?d",
            {"status": 307, "location": "/b"},
        ),
        # What follows a mount stays as it was sent.
        (
            "[[redirect]]\nto = '/b'\nmount = '/a é'\n",
            "/%61%20é/c%2fd%zz\\e é",
            "?é é?",
            {"status": 307, "location": "/b/c%2fd%zz\\e%20%C3%A9?%C3%A9%20%C3%A9?"},
        ),
        ("[[redirect]]\nto = '/b'\nmount = '/a'\n", "/a", "?", {"status": 307, "location": "/b"}),
        (
            "[[upstream]]\nto = 'http://a'\nmount = '/a'\nstrip = true\n",
            "/%61/b%2Fc//%7E",
            "?",
            {"to": ["http://a:80"], "target": "/b%2Fc//%7E"},
        ),
        (
            "[[upstream]]\nto = 'http://a'\nmount = '/a'\n",
            "/%61/b%2Fc",
            "?d",
            {"to": ["http://a:80"], "target": "/%61/b%2Fc?d"},
        ),
        ("[[redirect]]\nto = '/b#c'\npath = '/a'\n", "/a", "?d", {"status": 307, "location": "/b#c"}),
        ("[[respond]]\nstatus = 503\n", "/a", "", {"status": 503}),
        ("[[respond]]\npath = '/x'\n", "/a", "", {"status": 404}),
    ],
    ids=lambda value: value.split("]]")[0][2:] if isinstance(value, str) and "]]" in value else "",
)
def test_what_becomes_of_a_request(text: str, path: str, query: str, expected: dict[str, object]) -> None:
    assert outcome_of(text, path, query) == expected


def file_of(text: str) -> FileValues:
    Path("portico.toml").write_text(text, "utf-8")
    file = find_file(None, {})
    assert file is not None
    return file


def test_one_application_with_one_mount_is_the_settings(folder: Path) -> None:
    file = file_of(
        """
[routes]
unknown_host = "default"
[[app]]
app = "shop"
mount = ["/shop/"]
strip = true
name = "the shop"
threads = 4
user = "www-data"
max_request_body = "1M"
"""
    )
    settings = resolve({}, {}, file)
    assert (settings.app, settings.script_name, settings.name) == ("shop", "/shop", "the shop")
    assert (settings.threads, settings.user, settings.max_request_body_bytes) == (4, "www-data", 1 << 20)
    assert settings.origins["script_name"] == "portico.toml:6:9"
    assert settings.origins["threads"] == "portico.toml:9:11"
    assert resolve({"threads": ["2"]}, {"PORTICO_SCRIPT_NAME": "/x"}, file).script_name == "/x"


_TLS = '[[upstream]]\nto = "https://a"\n'


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        (_TLS, []),
        ('[[upstream]]\nto = ["http://a", "https://a"]\nca = "c"\nserver_name = "b"\n', []),
        ('[[upstream]]\nto = "srv+https://a"\nresolver = "dns"\nverify = false\n', []),
        (f'{_TLS}client_certificate = "c"\nclient_key = "k"\n', []),
        ('[[upstream]]\nto = "http://a"\nca = "c"\n', ["3:6: ca: expected an https server in to, got none"]),
        (
            '[[upstream]]\nto = "uwsgi://a:1"\nverify = false\n',
            ["3:10: verify: expected an https server in to, got none"],
        ),
        (
            f'{_TLS}client_certificate = "c"\n',
            ["3:22: client_certificate: expected client_key beside it, got none"],
        ),
        (f'{_TLS}client_key = "c"\n', ["3:14: client_key: expected client_certificate beside it, got none"]),
        (
            f'{_TLS}ca = "c"\nverify = false\n',
            ["3:6: ca: expected verify to be true, since it says who is trusted"],
        ),
        (
            f'{_TLS}server_name = "a b"\n',
            [
                "3:15: server_name: expected a name such as shop.example.com, or an address such as "
                '10.0.0.7, got "a b"'
            ],
        ),
    ],
)
def test_what_is_said_of_tls_fits_together(text: str, mistakes: list[str]) -> None:
    assert file_of(text).mistakes == [f"portico.toml:{mistake}" for mistake in mistakes]


@pytest.mark.parametrize(
    ("text", "name"),
    [("Shop.Example.", "shop.example"), ("10.0.0.7", "10.0.0.7"), ("::1", "::1"), ("[::1]", "::1")],
)
def test_a_certificate_is_of_a_name_or_an_address(text: str, name: str) -> None:
    assert ServerName().parse(text) == name


@pytest.mark.parametrize(
    "text",
    [
        '[[app]]\napp = "a"\nhost = "a.example"\n',
        '[[app]]\napp = "a"\nmount = ["/a", "/b"]\n',
        '[[app]]\napp = "a"\nstrip = false\n',
        '[[app]]\napp = "a"\n[[app]]\napp = "b"\nmount = "/b"\nfactory = true\nname = "the b"\n',
        '[[redirect]]\npath = "/a"\nto = "/b"\n',
        '[[respond]]\npath = "/a"\n[[app]]\napp = "a"\nthreads = 3\n',
    ],
)
def test_settings_have_the_routes_of_several(text: str) -> None:
    file = file_of(text)
    settings = resolve({}, {}, file)
    assert file.routes is not None
    assert settings.routes == file.routes.dump()
    assert settings.app == (file.routes.applications[0].values["app"] if "[[app]]" in text else "")
    assert settings.script_name == ""
    assert settings.threads == (3 if "threads" in text else 8)


@pytest.mark.parametrize(
    ("arguments", "environment", "origin"),
    [
        ({"app": ["b"]}, {}, "APP on the command line"),
        ({}, {"PORTICO_SCRIPT_NAME": "/x"}, "PORTICO_SCRIPT_NAME in the environment"),
    ],
)
def test_nothing_else_says_what_several_applications_are(
    arguments: dict[str, list[str]], environment: dict[str, str], origin: str
) -> None:
    file = file_of('[[app]]\napp = "a"\nhost = "a.example"\n')
    with pytest.raises(OperatorError) as raised:
        resolve(arguments, environment, file)
    assert raised.value.message == (f"{origin}: expected none, since portico.toml:1:1 says what is served")


def test_a_mistake_in_a_row_is_told_with_its_place() -> None:
    with pytest.raises(OperatorError) as raised:
        resolve({}, {}, file_of('[[static]]\nroot = "a"\nhost = "a:1"\n'))
    assert raised.value.message == (
        'portico.toml:3:8: host: expected a host without scheme, port or path, as in a, got "a:1"'
    )


@pytest.mark.parametrize(
    ("folder_host", "app_host"),
    [("a.example", "*.example"), ("*.a.example", "*.example"), ("*.example", "*.example"), ("a.example", "")],
)
def test_a_folder_may_fall_back_to_a_row_for_more_hosts(folder_host: str, app_host: str) -> None:
    host = f"host = {app_host!r}\n" if app_host else ""
    routes = routes_of(
        f"[[static]]\nroot = 'a'\nfallback = 'app'\nhost = {folder_host!r}\n[[app]]\napp = 'b'\n{host}"
    )
    assert [route.action.table for route in routes.routes] == ["static", "app"]


def test_headers_are_written_as_in_the_file(folder: Path) -> None:
    Path("pyproject.toml").write_text(
        '[[tool.portico.respond]]\nbody = "a"\n[[tool.portico.respond]]\nbody = "b"\n'
    )
    file = find_file("pyproject.toml", {})
    assert file is not None
    assert file.mistakes == [
        "pyproject.toml:3:1: [[tool.portico.respond]] takes / of any host, which [[tool.portico.respond]] "
        "takes already, at pyproject.toml:1:1"
    ]


def test_hosts_may_come_from_one_variable() -> None:
    Path("portico.toml").write_text('[[app]]\napp = "a"\nhost = ["${HOSTS}", "c.example"]\n')
    file = find_file(None, {"HOSTS": "a.example, B.example"})
    assert file is not None
    assert file.routes is not None
    assert [route.host for route in file.routes.routes] == ["a.example", "b.example", "c.example"]
    assert {route.host_origin for route in file.routes.routes} == {"portico.toml:3:8"}


def test_paths_start_from_the_folder_of_the_file(folder: Path) -> None:
    Path("etc").mkdir()
    Path("etc/portico.toml").write_text(
        '[[app]]\napp = "web/wsgi.py"\nvenv = "v"\nmount = "/a"\n'
        '[[static]]\nroot = "../public"\n[[respond]]\npath = "/b"\nfile = "b.html"\n'
    )
    file = find_file("etc/portico.toml", {})
    assert file is not None
    assert file.routes is not None
    values = {action.table: action.values for action in file.routes.actions}
    assert (values["app"]["app"], values["app"]["venv"]) == (f"{folder}/etc/web/wsgi.py", f"{folder}/etc/v")
    assert values["static"]["root"] == f"{folder}/etc/../public"
    assert values["respond"]["file"] == f"{folder}/etc/b.html"


def test_a_thousand_applications_are_read_and_found() -> None:
    text = "".join(
        f'[[app]]\napp = "a{n}"\nhost = "h{n % 50}.example"\nmount = "/m{n}"\n' for n in range(1000)
    )
    routes = routes_of(text)
    found = routes.find("h7.example", "/m957/x")
    assert found.route is not None
    assert (found.route.action.values["app"], found.script_name) == ("a957", "/m957")


def invoked(*words: str, exit_code: int = 0) -> str:
    found = CliRunner().invoke(commands, ["routes", *words], prog_name="portico")
    if found.exception is not None and exit_code:
        assert isinstance(found.exception, OperatorError | SystemExit)
        return found.exception.message if isinstance(found.exception, OperatorError) else found.output
    assert found.exit_code == exit_code, found.output
    return found.output


SHOP = """
[routes]
unknown_host = 421
[[app]]
app = "shop.wsgi"
host = "*.example.com"
mount = "/a"
[[static]]
root = "/srv/public"
host = "shop.example.com"
fallback = "app"
[[app]]
app = "all"
name = "rest"
[[redirect]]
path = "/old"
to = "/new"
"""


def test_the_command_prints_the_table() -> None:
    Path("portico.toml").write_text(SHOP)
    *rows, last = invoked().splitlines()
    assert [re.split("  +", row) for row in rows] == [
        ["host", "path", "taken by", "from"],
        ["shop.example.com", "/", "[[static]] /srv/public, or the next row", "portico.toml:8:1"],
        ["*.example.com", "/a", "[[app]] shop.wsgi", "portico.toml:4:1"],
        ["any", "/old alone", "[[redirect]] 307 to /new", "portico.toml:15:1"],
        ["any", "/", "[[app]] rest", "portico.toml:12:1"],
    ]
    assert len({row.index(re.split("  +", row)[-1]) for row in rows}) == 1
    assert last == "other hosts get 421, portico.toml:3:16"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("GET", "https://www.example.com:8443/a/b?c"),
            "GET /a/b of www.example.com\n"
            "  [[app]] shop.wsgi, portico.toml:4:1\n"
            "  host         *.example.com, portico.toml:6:8\n"
            "  path         /a and below, portico.toml:7:9\n"
            "  SCRIPT_NAME  /a\n"
            "  PATH_INFO    /b\n",
        ),
        (
            ("http://shop.example.com/a",),
            "GET /a of shop.example.com\n"
            "  [[static]] /srv/public, or the next row, portico.toml:8:1\n"
            "  host  shop.example.com, portico.toml:10:8\n"
            "  path  any\n"
            "  file  /srv/public/a\n"
            "without such a file:\n"
            "  [[app]] shop.wsgi, portico.toml:4:1\n"
            "  host         *.example.com, portico.toml:6:8\n"
            "  path         /a and below, portico.toml:7:9\n"
            "  SCRIPT_NAME  /a\n"
            '  PATH_INFO    ""\n',
        ),
        (
            ("POST", "https://www.example.com/old?x"),
            "POST /old of www.example.com\n"
            "  [[redirect]] 307 to /new, portico.toml:15:1\n"
            "  host      any\n"
            "  path      /old alone, portico.toml:16:8\n"
            "  status    307\n"
            "  location  /new?x\n",
        ),
        (
            ("/old",),
            "GET /old without a host\n"
            "  421 Misdirected Request: no row names no host, and unknown_host at portico.toml:3:16 says "
            "so\n",
        ),
    ],
)
def test_the_command_says_which_row_takes_a_request_and_why(words: tuple[str, ...], expected: str) -> None:
    Path("portico.toml").write_text(SHOP)
    assert invoked(*words) == expected


def test_the_command_has_json_for_programs() -> None:
    Path("portico.toml").write_text(SHOP)
    table = json.loads(invoked("--json"))
    assert table["unknown_host"] == 421
    assert [row["host"] for row in table["routes"]] == ["shop.example.com", "*.example.com", None, None]
    assert table["routes"][1] == {
        "host": "*.example.com",
        "path": "/a",
        "exact": False,
        "table": "app",
        "pool": None,
        "origin": "portico.toml:4:1",
        "host_origin": "portico.toml:6:8",
        "path_origin": "portico.toml:7:9",
        "values": {"strip": True, "app": "shop.wsgi"},
    }
    found = json.loads(invoked("--json", "HEAD", "https://shop.example.com/a/b"))
    assert (found["method"], found["file"]) == ("HEAD", ["/srv/public/a/b"])
    assert (found["fallback"]["SCRIPT_NAME"], found["fallback"]["PATH_INFO"]) == ("/a", "/b")
    missing = json.loads(invoked("--json", "https://other.example/a"))
    assert (missing["route"], missing["status"]) == (None, 421)


def test_the_command_shows_the_one_application_of_the_folder(folder: Path) -> None:
    Path("app.py").write_text("def app(environ, start_response):\n    return []\n")
    assert invoked() == (
        "host  path  taken by         from\nany   /     [[app]] app:app  found: app.py has an app\n"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("shop.example.com",), 'got "shop.example.com"'),
        (("https:///a",), 'got "https:///a"'),
        (("https://a:b/",), 'got "https://a:b/"'),
        (("G E T", "/a"), 'expected a method such as GET, got "G E T"'),
        (("GET", "/a", "/b"), 'expected METHOD URL, got "GET /a /b"'),
    ],
)
def test_what_is_no_request_is_a_sentence(words: tuple[str, ...], sentence: str) -> None:
    Path("portico.toml").write_text(SHOP)
    assert sentence in invoked(*words, exit_code=2)


def test_a_name_in_other_letters_is_found_by_its_ascii() -> None:
    Path("portico.toml").write_text('[[app]]\napp = "a"\nhost = "müller.example"\n')
    assert "[[app]] a, portico.toml:1:1" in invoked("https://MÜLLER.example/")


@pytest.mark.parametrize("port", ["65536", "99999", "0100000", "1" * 5000, "8O", "\u0661"])
def test_a_url_with_a_port_that_can_be_none_is_rejected_as_by_the_server(port: str) -> None:
    with pytest.raises(OperatorError, match="expected a URL such as"):
        read_request([f"http://a.example:{port}/"])


@pytest.mark.parametrize("port", ["", "0", "65535", "0" * 5000 + "80"])
def test_a_url_may_have_any_port(port: str) -> None:
    assert read_request([f"http://[::1]:{port}/"]).host == f"[::1]:{port}"
