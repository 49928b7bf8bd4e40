"""portico.process.worker: what the engine is told, and that no setting is listed twice."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, get_type_hints

from portico import _core
from portico.config.addresses import parse_address
from portico.config.settings import TABLE
from portico.process.loaded import Loaded
from portico.process.plan import Listener
from portico.process.worker import WorkerProcess
from portico.types import EngineListener, EngineProcess

NOT_FOR_THE_ENGINE = {
    *("app", "name", "factory", "middleware", "bind", "workers", "timeout_s", "backlog"),
    *("workers_min", "workers_max", "idle_timeout_s"),
    *("timeout_grace_s", "slow_after_s", "route_timeout", "route_slow_after"),
    *("boot_timeout_s", "warmup", "reload_parallel", "touch_reload", "drain_delay_s"),
    *("max_requests", "max_requests_jitter", "max_lifetime_s", "max_lifetime_jitter_s"),
    *("max_rss_bytes", "max_rss_hard_bytes", "min_lifetime_s"),
    *("preload", "refork_after"),
    *("user", "group", "groups", "umask", "limits", "no_new_privs", "capabilities"),
    *("read_only", "writable", "landlock", "hooks"),
    *("chdir", "pythonpath", "env"),
    *("error_log", "error_log_format", "logconfig", "log_level"),
    *("control", "pid_file"),
    *("cluster_agent", "cluster_haproxy", "cluster_eds_file", "cluster_backend"),
    *("cluster_server", "cluster_address", "cluster_options"),
    *("admin_bind", "admin_token_file", "prometheus_client"),
    *("statsd", "statsd_prefix", "statsd_tags", "statsd_interval_s"),
    *("otlp", "otlp_headers", "otlp_interval_s", "otlp_service_name"),
}
"""What the command line, the supervisor and the loader use up."""


def worker_process(*binds: str) -> WorkerProcess:
    listeners = [Listener(fd, parse_address(text), f"display of {fd}") for fd, text in enumerate(binds, 3)]
    assignment: Any = SimpleNamespace(
        plan=SimpleNamespace(listeners=listeners, has_metrics=False),
        supervisor_fd=4,
        spans_fd=-1,
        multiprocess=True,
    )
    signals: Any = SimpleNamespace(read_fd=5, write_fd=6)
    loaded = Loaded(lambda environ, start_response: [], "shop:app")
    return WorkerProcess(assignment, loaded, signals=signals, access_log_fd=-1)


def test_the_engine_reads_every_row_of_the_table_that_is_for_it_and_nothing_else() -> None:
    assert set(_core.setting_names()) == {row.attribute for row in TABLE} - NOT_FOR_THE_ENGINE


def test_the_engine_is_told_all_of_the_process_that_it_asks_for_and_nothing_else() -> None:
    assert set(vars(worker_process())) == set(get_type_hints(EngineProcess))


def test_each_listener_is_told_its_own_protocol_and_options() -> None:
    process = worker_process(
        "unix:/a?mode=660",
        "uwsgi://:3031?persistent=on",
        "fastcgi+fd://web?stderr=on",
        "scgi+unix:@a?proxy=required",
    )
    plain = {"proxy": False, "persistent": False, "stderr": False, "is_connection": False}
    assert [vars(listener) for listener in process.listeners] == [
        {**plain, "fd": 3, "protocol": "http", "display": "display of 3"},
        {**plain, "fd": 4, "protocol": "uwsgi", "persistent": True, "display": "display of 4"},
        {**plain, "fd": 5, "protocol": "fastcgi", "stderr": True, "display": "display of 5"},
        {**plain, "fd": 6, "protocol": "scgi", "proxy": True, "display": "display of 6"},
    ]
    assert all(set(vars(listener)) == set(get_type_hints(EngineListener)) for listener in process.listeners)
