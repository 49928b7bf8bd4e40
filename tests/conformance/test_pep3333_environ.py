"""PEP 3333, what the application is called with: numbers 1 to 16."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from support.raw_client import Connection
from support.server import Server


def seen(server: Server, target: str = "/environ", **request: Any) -> dict[str, Any]:
    """What the application saw, for one request on a connection of its own."""
    with server.connect() as connection:
        return seen_on(connection, target, **request)


def seen_on(connection: Connection, target: str = "/environ", **request: Any) -> dict[str, Any]:
    response = connection.request(target, **request)
    assert response.status == 200
    return dict(json.loads(response.body))


def values(server: Server, target: str = "/environ", **request: Any) -> dict[str, Any]:
    return {key: entry["value"] for key, entry in seen(server, target, **request)["values"].items()}


def test_01_application_called_positionally(server: Server) -> None:
    with server.connect() as connection:
        response = json.loads(connection.request("/arguments").body)
    assert response == {"positional": 2, "keywords": []}


def test_02_environ_is_exactly_a_dict(server: Server) -> None:
    response = seen(server)
    assert response["type"] == "dict"
    assert response["key_types"] == ["str"]


@pytest.mark.parametrize("query", ["", "?gently=1"], ids=["emptied", "changed"])
def test_02_application_may_change_environ(server: Server, query: str) -> None:
    with server.connect() as connection:
        for _ in range(3):
            response = connection.request(f"/changes-environ{query}")
            assert (response.status, response.body) == (200, b"[]")
        after = seen_on(connection)["values"]
    assert after["REQUEST_METHOD"]["value"] == "GET"
    assert after["PATH_INFO"]["value"] == "/environ"
    assert after["wsgi.url_scheme"]["value"] == "http"
    assert "x.added" not in after
    assert "HTTP_X_ADDED" not in after


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "X-OWN", "get"]
)
def test_03_request_method(server: Server, method: str) -> None:
    assert values(server, method=method)["REQUEST_METHOD"] == method


def test_04_server_name_and_port(server: Server) -> None:
    entries = seen(server, headers=["Host: other.example:99"], host=False)["values"]
    assert entries["SERVER_PORT"] == {"type": "str", "value": str(server.port)}
    assert entries["SERVER_NAME"]["type"] == "str"
    assert entries["SERVER_NAME"]["value"] != ""
    assert entries["HTTP_HOST"]["value"] == "other.example:99"


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_05_server_protocol_is_what_the_client_used(server: Server, version: str) -> None:
    assert values(server, version=version)["SERVER_PROTOCOL"] == version


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/environ", "/environ"),
        ("/environ/", "/environ/"),
        ("/environ/a%20b", "/environ/a b"),
        ("/environ/a%2Fb", "/environ/a/b"),
        ("/environ/a%2fb", "/environ/a/b"),
        ("/environ/%2541", "/environ/%41"),
        ("/environ/%C3%A9", "/environ/\xc3\xa9"),
        ("/environ/%E9", "/environ/\xe9"),
        ("/environ/a+b;c=d", "/environ/a+b;c=d"),
        ("/environ//double", "/environ//double"),
        ("//environ", "//environ"),
        ("/environ/%3Fnot=query", "/environ/?not=query"),
    ],
)
def test_06_path_info_is_decoded_once(server: Server, target: str, path: str) -> None:
    environ = values(server, target)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["QUERY_STRING"]) == ("", path, "")


def test_06_path_info_of_the_root(server: Server) -> None:
    assert values(server, "/")["PATH_INFO"] == "/"


@pytest.mark.parametrize(
    "query", ["", "a=1", "a=%20%2F&b=+", "?", "a=b?c=d", "%E2%98%83", "a=1;b=2&a=3", "no-equals"]
)
def test_07_query_string_is_not_decoded(server: Server, query: str) -> None:
    assert values(server, f"/environ?{query}")["QUERY_STRING"] == query


def test_07_query_string_is_always_present(server: Server) -> None:
    assert values(server, "/environ")["QUERY_STRING"] == ""


def test_08_content_type_and_length_without_http(server: Server) -> None:
    environ = values(server, method="POST", headers=["Content-Type: text/x-test; a=b"], body=b"12345")
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/x-test; a=b", "5")
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_08_content_type_and_length_may_be_absent(server: Server) -> None:
    environ = values(server)
    assert environ.get("CONTENT_TYPE", "") == ""
    assert environ.get("CONTENT_LENGTH", "") == ""


def test_09_headers_become_http_variables(server: Server) -> None:
    environ = values(
        server, headers=["X-Own-Name: value one", "x-lower:  \t padded \t ", "X-Empty:", "X-1: digit"]
    )
    assert environ["HTTP_X_OWN_NAME"] == "value one"
    assert environ["HTTP_X_LOWER"] == "padded"
    assert environ["HTTP_X_EMPTY"] == ""
    assert environ["HTTP_X_1"] == "digit"
    assert environ["HTTP_HOST"] == "localhost"


def test_09_headers_are_present_only_if_sent(server: Server) -> None:
    with server.connect() as connection:
        first = seen_on(connection, headers=["X-Once: 1", "Cookie: a=1", "Accept: */*"])["values"]
        second = seen_on(connection)["values"]
    assert {"HTTP_X_ONCE", "HTTP_COOKIE", "HTTP_ACCEPT"} <= set(first)
    assert [name for name in second if name.startswith("HTTP_")] == ["HTTP_HOST"]


def test_09_repeated_headers_are_joined(server: Server) -> None:
    environ = values(
        server,
        headers=["X-A: 1", "Cookie: a=1", "x-a: 2", "Cookie: b=2", "X-A:", "X-A: 3, 4", "cookie: c=3"],
    )
    assert environ["HTTP_X_A"] == "1, 2, , 3, 4"
    assert environ["HTTP_COOKIE"] == "a=1; b=2; c=3"


def test_09_repeated_headers_are_joined_whose_values_are_the_same(server: Server) -> None:
    environ = values(server, headers=["X-A: 1", "X-A: 1", "X-B:", "X-B:", "X-C: as", "X-C: as", "X-C: as"])
    assert [environ[name] for name in ("HTTP_X_A", "HTTP_X_B", "HTTP_X_C")] == ["1, 1", ", ", "as, as, as"]


def test_09_a_name_with_an_underscore_is_dropped(server: Server) -> None:
    environ = values(
        server, headers=["X_Forwarded_For: 6.6.6.6", "X-Good: 1", "Content_Length: 99", "X_Good: 2"]
    )
    assert "HTTP_X_FORWARDED_FOR" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ
    assert environ.get("CONTENT_LENGTH", "") == ""
    assert environ["HTTP_X_GOOD"] == "1"


def test_09_headers_cannot_take_the_place_of_other_variables(server: Server) -> None:
    environ = values(
        server,
        headers=["Script-Name: /spoof", "Remote-Addr: 6.6.6.6", "wsgi.url_scheme: https", "Path-Info: /x"],
    )
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["REMOTE_ADDR"]) == (
        "",
        "/environ",
        "127.0.0.1",
    )
    assert environ["wsgi.url_scheme"] == "http"


def test_09_values_of_a_kept_connection_follow_each_request(server: Server) -> None:
    with server.connect() as connection:
        for value in ["one", "one", "two", "", "twofold", "one"]:
            environ = seen_on(connection, headers=[f"X-Changing: {value}", "X-Same: same"])["values"]
            assert environ["HTTP_X_CHANGING"]["value"] == value
            assert environ["HTTP_X_SAME"]["value"] == "same"


def test_09_hosts_of_a_kept_connection_follow_each_request(server: Server) -> None:
    with server.connect() as connection:
        # Those of a server are nearly always the same; not one of them, no name, and a larger one are.
        for host in [
            "a.test",
            "a.test",
            "a.test",
            "b.test:80",
            "a.test",
            None,
            "b.test:80",
            "b.test:80",
            "",
            None,
        ]:
            version, headers = (
                ("HTTP/1.0", ["Connection: keep-alive"]) if host is None else ("HTTP/1.1", [f"Host: {host}"])
            )
            environ = seen_on(connection, version=version, headers=headers, host=False)["values"]
            assert environ.get("HTTP_HOST", {"value": None})["value"] == host


def test_09_bodies_of_a_kept_connection_follow_each_request(server: Server) -> None:
    with server.connect() as connection:
        for size, media in [
            (5, "text/x-a"),
            (5, "text/x-b"),
            (300, "text/x-b"),
            (5, "text/\xe9"),
            (0, "text/x-b"),
        ]:
            headers = [f"Content-Type: {media}"]
            environ = seen_on(connection, method="POST", headers=headers, body=b"x" * size)["values"]
            assert environ["CONTENT_LENGTH"]["value"] == str(size)
            assert environ["CONTENT_TYPE"]["value"] == media
            environ = seen_on(connection)["values"]
            assert not {"CONTENT_LENGTH", "CONTENT_TYPE"} & set(environ)


def test_10_cgi_values_are_native_latin_strings(server: Server) -> None:
    headers = ["X-Latin: caf\xe9 \xff", "X-Utf: \xc3\xa9"]
    response = seen(server, "/environ/%C3%A9%FF?q=%C3%A9", headers=headers)
    entries = {key: entry for key, entry in response["values"].items() if key.isupper()}
    assert {entry["type"] for entry in entries.values()} == {"str"}
    assert all(ord(character) <= 255 for entry in entries.values() for character in entry["value"])
    assert entries["HTTP_X_LATIN"]["value"] == "caf\xe9 \xff"
    assert entries["HTTP_X_UTF"]["value"] == "\xc3\xa9"
    assert entries["PATH_INFO"]["value"] == "/environ/\xc3\xa9\xff"


def test_11_absent_things_are_left_out(server: Server) -> None:
    for response in (seen(server), seen(server, method="POST", body=b"x")):
        own = ("wsgi.", "portico.")
        types = {entry["type"] for key, entry in response["values"].items() if not key.startswith(own)}
        assert types == {"str"}
        assert not {"REMOTE_USER", "AUTH_TYPE", "REMOTE_IDENT"} & set(response["values"])


def test_12_other_cgi_variables(server: Server) -> None:
    with server.connect() as connection:
        host, port = connection.socket.getsockname()
        response = seen_on(connection, "/environ/%20x?q=%20")["values"]
    environ = {key: entry["value"] for key, entry in response.items()}
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (host, str(port))
    assert environ["REQUEST_URI"] == environ["RAW_URI"] == "/environ/%20x?q=%20"
    assert re.fullmatch(r"portico/[0-9][0-9A-Za-z.+-]*", environ["SERVER_SOFTWARE"])
    assert "HTTPS" not in environ
    assert not [name for name in environ if name.startswith("SSL_")]


def test_13_wsgi_version(server: Server) -> None:
    assert seen(server)["values"]["wsgi.version"] == {"type": "tuple", "value": [1, 0]}


def test_14_url_scheme_is_not_changed_by_a_stranger(server: Server) -> None:
    for headers in ([], ["X-Forwarded-Proto: https", "X-Forwarded-Ssl: on", "Forwarded: proto=https"]):
        with server.connect(source="127.0.0.2") as stranger:
            assert seen_on(stranger, headers=headers)["values"]["wsgi.url_scheme"]["value"] == "http"


def test_15_flags_are_truthful(server: Server) -> None:
    entries = seen(server)["values"]
    flags = {name: entries[f"wsgi.{name}"] for name in ("multithread", "multiprocess", "run_once")}
    assert flags == {
        "multithread": {"type": "bool", "value": server.threads > 1},
        "multiprocess": {"type": "bool", "value": False},
        "run_once": {"type": "bool", "value": False},
    }


@pytest.mark.parametrize("threads", [1, 8])
def test_15_multiprocess_with_two_workers(threads: int) -> None:
    with Server(threads=threads, workers=2) as two_workers:
        assert values(two_workers)["wsgi.multiprocess"] is True


def test_16_own_keys_are_lower_case_under_our_name(server: Server) -> None:
    names = set(values(server))
    others = {name for name in names if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name)}
    assert all(re.fullmatch(r"(wsgi|portico)\.[a-z0-9_.]+", name) for name in others), others
    assert not [name for name in names if name.startswith("PORTICO")]


def test_16_the_process_environment_is_not_copied(server: Server) -> None:
    assert not {"PATH", "HOME", "TEST_SETTING", "RECORDER_FOLDER"} & set(values(server))
