"""DispatcherMiddleware: the mount at the longest beginning of the path."""

from __future__ import annotations

from typing import Any

import pytest
from portico.middleware import DispatcherMiddleware

from .calling import environ_of, fetch


def named(name: str) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{name}:{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode("latin-1")]

    return application


MOUNTS = {"/api": named("api"), "/api/v2": named("v2"), "/café".encode().decode("latin-1"): named("cafe")}


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        pytest.param("/", "app:|/", id="root"),
        pytest.param("/api", "api:/api|", id="mount"),
        pytest.param("/api/", "api:/api|/", id="mount-with-slash"),
        pytest.param("/api/users/7", "api:/api|/users/7", id="below"),
        pytest.param("/api/v2/users", "v2:/api/v2|/users", id="longest"),
        pytest.param("/api//v2", "api:/api|//v2", id="two-slashes"),
        pytest.param("/apis", "app:|/apis", id="whole-segments"),
        pytest.param("/other/api", "app:|/other/api", id="only-the-beginning"),
        pytest.param("/café/au/lait", "cafe:/café|/au/lait", id="not-ascii"),
    ],
)
def test_the_longest_mount_gets_the_request(path: str, shown: str) -> None:
    application = DispatcherMiddleware(named("app"), MOUNTS)
    assert fetch(application, path).body.decode() == shown


def test_the_mount_is_added_to_what_is_mounted_already() -> None:
    inner = DispatcherMiddleware(named("app"), {"/v2": named("v2")})
    application = DispatcherMiddleware(named("outer"), {"/api": inner})
    assert fetch(application, "/api/v2/users", SCRIPT_NAME="/shop").body == b"v2:/shop/api/v2|/users"


def test_mounts_may_be_changed_later() -> None:
    mounts: dict[str, Any] = {}
    application = DispatcherMiddleware(named("app"), mounts)
    mounts["/late"] = named("late")
    assert fetch(application, "/late/x").body == b"late:/late|/x"


def test_a_request_for_the_whole_server_stays_one() -> None:
    # The validator rejects such a path, which servers have all the same.
    environ = environ_of("*", "OPTIONS")
    assert DispatcherMiddleware(named("app"), MOUNTS)(environ, lambda *_: None) == [b"app:|*"]
