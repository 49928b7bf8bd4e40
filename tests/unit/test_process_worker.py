"""portico.process.worker: what the engine is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, get_type_hints

from portico.config.addresses import parse_address
from portico.config.settings import TABLE
from portico.config.sources import resolve
from portico.process.plan import Listener
from portico.process.worker import WorkerSettings
from portico.types import EngineListener, EngineSettings

NOT_FOR_THE_ENGINE = {
    *("app", "bind", "workers", "timeout_s", "backlog", "chdir", "pythonpath", "env"),
    *("access_log", "log_level"),
    *("uwsgi_allow_from", "fastcgi_allow_from", "scgi_allow_from", "proxy_allow_from"),
}
"""What the command line, the supervisor and the loader use up, and what is said of each listener."""

OTHERWISE_NAMED = {"untrusted_forwarded": "keep_untrusted_forwarded"}


def worker_settings(*binds: str, **texts: str) -> WorkerSettings:
    settings = resolve({name: text.split() for name, text in texts.items()}, {})
    listeners = [Listener(fd, parse_address(text), f"display of {fd}") for fd, text in enumerate(binds, 3)]
    plan = SimpleNamespace(settings=settings, listeners=listeners)
    assignment: Any = SimpleNamespace(plan=plan, parent_death_fd=4, multiprocess=True)
    return WorkerSettings(assignment, signal_fd=5, access_log_fd=-1)


def test_the_engine_is_told_all_that_it_asks_for_and_nothing_else() -> None:
    assert set(vars(worker_settings())) == set(get_type_hints(EngineSettings))


def test_every_setting_reaches_the_engine_under_its_own_name() -> None:
    told = vars(worker_settings())
    for row in TABLE:
        if row.attribute not in NOT_FOR_THE_ENGINE and row.attribute not in OTHERWISE_NAMED:
            expected = list(row.default) if row.many else row.default
            assert told[row.attribute] == expected, row.name
    assert set(OTHERWISE_NAMED.values()) <= set(told)


def test_each_listener_is_told_its_own_protocol_options_and_peers() -> None:
    told = worker_settings(
        "unix:/a?mode=660",
        "uwsgi://:3031?persistent=on",
        "fastcgi+fd://web?stderr=on",
        "scgi+unix:@a?proxy=required",
        uwsgi_allow_from="10.0.0.0/8 ::1",
        fastcgi_allow_from="none unix",
        scgi_allow_from="*",
        proxy_allow_from="192.0.2.1 none",
    )
    plain = {"proxy": False, "persistent": False, "stderr": False, "proxy_allow_from": ["192.0.2.1"]}
    assert [vars(listener) for listener in told.listeners] == [
        {**plain, "fd": 3, "protocol": "http", "allow_from": ["*"], "display": "display of 3"},
        {
            **plain,
            "fd": 4,
            "protocol": "uwsgi",
            "persistent": True,
            "allow_from": ["10.0.0.0/8", "::1"],
            "display": "display of 4",
        },
        {
            **plain,
            "fd": 5,
            "protocol": "fastcgi",
            "stderr": True,
            "allow_from": ["unix"],
            "display": "display of 5",
        },
        {
            **plain,
            "fd": 6,
            "protocol": "scgi",
            "proxy": True,
            "allow_from": ["*"],
            "display": "display of 6",
        },
    ]
    assert set(vars(told.listeners[0])) == set(get_type_hints(EngineListener))


def test_nobody_sends_a_proxy_header_if_none_is_all_that_is_said() -> None:
    [listener] = worker_settings(":80", proxy_allow_from="none").listeners
    assert listener.proxy_allow_from == []


def test_forwarded_headers_are_only_kept_on_demand() -> None:
    assert worker_settings().keep_untrusted_forwarded is False
    assert worker_settings(untrusted_forwarded="keep").keep_untrusted_forwarded is True
