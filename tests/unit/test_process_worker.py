"""portico.process.worker: what the engine is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, get_type_hints

from portico.config.settings import TABLE
from portico.config.sources import resolve
from portico.process.worker import WorkerSettings
from portico.types import EngineSettings

NOT_FOR_THE_ENGINE = {
    *("app", "bind", "workers", "timeout_s", "backlog", "chdir", "pythonpath", "env"),
    *("access_log", "log_level"),
}
"""What the command line, the supervisor and the loader use up."""

OTHERWISE_NAMED = {"untrusted_forwarded": "keep_untrusted_forwarded"}


def worker_settings(**texts: str) -> WorkerSettings:
    settings = resolve({name: [text] for name, text in texts.items()}, {})
    plan = SimpleNamespace(settings=settings, listeners=[SimpleNamespace(fd=3)])
    assignment: Any = SimpleNamespace(plan=plan, lifeline_fd=4, multiprocess=True)
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


def test_forwarded_headers_are_only_kept_on_demand() -> None:
    assert worker_settings().keep_untrusted_forwarded is False
    assert worker_settings(untrusted_forwarded="keep").keep_untrusted_forwarded is True
