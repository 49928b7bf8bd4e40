"""portico.config.sources and check: precedence, origins, and errors that name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from portico.config.addresses import parse_address
from portico.config.check import check, unknown_variables
from portico.config.settings import TABLE, Settings
from portico.config.sources import resolve
from portico.config.working_directory import working_directory
from portico.errors import OperatorError


def test_gives_every_setting_its_default() -> None:
    settings = resolve({}, {})
    assert settings.values == {row.attribute: row.default for row in TABLE}
    assert set(settings.origins.values()) == {"the default"}


def test_lets_the_environment_win_over_the_default_and_the_command_line_over_both() -> None:
    settings = resolve({"threads": ["3"]}, {"PORTICO_THREADS": "2", "PORTICO_TIMEOUT": "500ms"})
    assert (settings.threads, settings.timeout_s) == (3, 0.5)
    assert settings.origins["threads"] == "--threads on the command line"
    assert settings.origins["timeout_s"] == "PORTICO_TIMEOUT in the environment"


def test_takes_the_last_of_a_repeated_flag() -> None:
    assert resolve({"threads": ["3", "4"]}, {}).threads == 4


def test_collects_a_flag_that_may_be_repeated() -> None:
    settings = resolve({"bind": [":80", "unix:a"], "env": ["A=1,2", "B="]}, {})
    assert settings.bind == ("0.0.0.0:80", "unix:a")
    assert settings.env == (("A", "1,2"), ("B", ""))


def test_splits_a_repeatable_setting_in_the_environment() -> None:
    settings = resolve(
        {},
        {
            "PORTICO_BIND": ":80, :81",
            "PORTICO_PYTHONPATH": "a:b",
            "PORTICO_ENV": "A=1,B=2",
            "PORTICO_HEALTH_PATH": "/healthz, /ready",
            "FORWARDED_ALLOW_IPS": "10.0.0.0/8, unix",
        },
    )
    assert settings.bind == ("0.0.0.0:80", "0.0.0.0:81")
    assert settings.health_paths == ("/healthz", "/ready")
    assert settings.forwarded_allow_ips == ("10.0.0.0/8", "unix")
    assert settings.pythonpath == ("a", "b")
    assert settings.env == (("A", "1"), ("B", "2"))


def test_reads_codings_and_media_types_as_lists() -> None:
    settings = resolve({"compress": ["zstd,gzip"]}, {"PORTICO_COMPRESS_TYPES": "text/*, application/json"})
    assert settings.compress == ("zstd", "gzip")
    assert settings.compress_types == ("text/*", "application/json")
    assert resolve({"compress": ["none"]}, {"PORTICO_COMPRESS": "gzip"}).compress == ("none",)


def test_splits_an_option_at_commas_where_a_value_has_none() -> None:
    settings = resolve({"bind": [":80,:81", "unix:a,b"], "forwarded_allow_ips": ["10.0.0.1,unix"]}, {})
    assert settings.bind == ("0.0.0.0:80", "0.0.0.0:81", "unix:a,b")
    assert settings.forwarded_allow_ips == ("10.0.0.1", "unix")


def test_says_which_option_was_written() -> None:
    settings = resolve({"access_log": ["off"]}, {}, written={"access_log": "-L", "workers": "-p"})
    assert settings.origins["access_log"] == "-L on the command line"
    assert settings.origins["workers"] == "the default"


@pytest.mark.parametrize(
    ("arguments", "environment", "workers", "origin"),
    [
        ({}, {}, 3, "GUNICORN_CMD_ARGS in the environment"),
        ({}, {"WEB_CONCURRENCY": "2"}, 3, "GUNICORN_CMD_ARGS in the environment"),
        ({}, {"PORTICO_WORKERS": "2"}, 2, "PORTICO_WORKERS in the environment"),
        ({"workers": ["2"]}, {}, 2, "--workers on the command line"),
    ],
)
def test_the_variable_of_gunicorn_stands_between_our_own_and_shared_ones(
    arguments: Mapping[str, Sequence[str]], environment: Mapping[str, str], workers: int, origin: str
) -> None:
    settings = resolve(arguments, environment, inherited={"workers": ["3"]})
    assert (settings.workers, settings.origins["workers"]) == (workers, origin)


def test_takes_an_empty_variable_for_none() -> None:
    assert (
        resolve({}, {"PORTICO_THREADS": "", "PORT": " ", "WEB_CONCURRENCY": ""}).values
        == resolve({}, {}).values
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "bind"),
    [
        ({}, {"PORT": "5000"}, ("0.0.0.0:5000",)),
        ({}, {"PORT": "5000", "PORTICO_BIND": ":80"}, ("0.0.0.0:80",)),
        ({"bind": ["[::]:81"]}, {"PORT": "5000"}, ("[::]:81",)),
    ],
    ids=["alone", "below PORTICO_BIND", "below --bind"],
)
def test_honours_port(
    arguments: Mapping[str, Sequence[str]], environment: Mapping[str, str], bind: tuple[str, ...]
) -> None:
    assert resolve(arguments, environment).bind == bind


def test_honours_forwarded_allow_ips_below_its_own_variable() -> None:
    environment = {"FORWARDED_ALLOW_IPS": "*", "PORTICO_FORWARDED_ALLOW_IPS": "unix"}
    assert resolve({}, environment).forwarded_allow_ips == ("unix",)


def test_honours_web_concurrency_below_its_own_variable() -> None:
    assert resolve({}, {"WEB_CONCURRENCY": "3"}).workers == 3
    assert resolve({}, {"WEB_CONCURRENCY": "3", "PORTICO_WORKERS": "auto"}).workers is None


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (
            {},
            {"PORTICO_THREADS": "many"},
            'PORTICO_THREADS in the environment: expected a whole number from 1 to 1024, got "many"',
        ),
        (
            {"threads": ["0"]},
            {},
            '--threads on the command line: expected a whole number from 1 to 1024, got "0"',
        ),
        (
            {},
            {"PORT": "http"},
            'PORT in the environment: expected a port number from 0 to 65535, got "http"',
        ),
        (
            {"timeout": ["1y"]},
            {},
            "--timeout on the command line: expected a duration from 0s to 24h, such as 30s, 500ms or 2m, "
            'got "1y"',
        ),
        (
            {"log_level": ["loud"]},
            {},
            "--log-level on the command line: expected one of trace, debug, info, warning, error, critical, "
            'got "loud"',
        ),
        ({"env": ["A"]}, {}, '--env on the command line: expected NAME=VALUE, got "A"'),
        (
            {"max_request_body": ["9999999T"]},
            {},
            "--max-request-body on the command line: expected a size in bytes, such as 64K, 10M or 1G, "
            'got "9999999T"',
        ),
        (
            {"max_header": ["0"]},
            {},
            "--max-header on the command line: expected a size in bytes of at least 64, such as 64K, 10M or "
            '1G, got "0"',
        ),
        (
            {"bind": ["htp://:80"]},
            {},
            "--bind on the command line: expected one of the schemes http, uwsgi, fastcgi, scgi, got "
            '"htp" in "htp://:80"',
        ),
        (
            {},
            {"PORTICO_BIND": "unix:a?mode=660&group=web, :80?mode=660"},
            "PORTICO_BIND in the environment: expected the path of a Unix socket for the option mode, got "
            '":80" in ":80?mode=660"',
        ),
        (
            {"bind": [" shop "]},
            {},
            "--bind on the command line: expected HOST:PORT, unix:PATH or fd://N, with a scheme "
            "(uwsgi://HOST:PORT, scgi+unix:PATH) and options (unix:PATH?mode=660) if need be, "
            'got "shop"',
        ),
        (
            {},
            {"FORWARDED_ALLOW_IPS": "127.0.0.1, proxy.example"},
            "FORWARDED_ALLOW_IPS in the environment: expected an IP address, a network such as 10.0.0.0/8 "
            '(no bits beyond its length), unix, * or none, got "proxy.example"',
        ),
    ],
)
def test_names_the_origin_of_a_bad_value(
    arguments: Mapping[str, Sequence[str]], environment: Mapping[str, str], sentence: str
) -> None:
    with pytest.raises(OperatorError) as caught:
        resolve(arguments, environment)
    assert (caught.value.message, caught.value.exit_code) == (sentence, 2)


def test_every_default_can_be_written() -> None:
    for row in TABLE:
        if row.many:
            assert row.show_default() == " ".join(row.kind.show(value) for value in row.default)
        elif row.default != "":
            assert row.kind.parse(row.show_default()) == row.default


def test_every_attribute_carries_its_unit_or_its_plural() -> None:
    suffixes = {
        "Duration": "_s",
        "Size": "_bytes",
        "UrlPath": "s",
        "ResourceLimit": "s",
        "StaticDirectoryOrAuto": "_directories",
        "ErrorPageFile": "s",
    }
    for row in TABLE:
        suffix = suffixes.get(type(row.kind).__name__, "")
        # max_variables is a number already, so the row of their size is max_variables_size.
        assert row.attribute == row.name.removesuffix("_size") + suffix


def test_suggests_a_setting_for_an_unknown_variable() -> None:
    assert unknown_variables({"PORTICO_TREADS": "1", "PORTICO_THREADS": "1", "OTHER": "1"}) == [
        "PORTICO_TREADS in the environment is not a setting; did you mean PORTICO_THREADS?"
    ]


@pytest.mark.parametrize("variable", ["PORTICO_FOO", "PORTICO_HOST", "PORTICO_SERVICE_PORT"])
def test_suggests_nothing_for_a_variable_that_only_begins_alike(variable: str) -> None:
    assert unknown_variables({variable: "1"}) == [f"{variable} in the environment is not a setting"]


def _settings(**texts: str) -> Settings:
    return resolve({"app": ["shop"], **{name: [text] for name, text in texts.items()}}, {})


def test_asks_for_an_application() -> None:
    with pytest.raises(OperatorError, match="no application was given"):
        check(resolve({}, {}))


def test_asks_for_a_directory_that_exists(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="--chdir on the command line: expected a directory"):
        check(_settings(chdir=str(tmp_path / "none")))


def test_tells_everything_at_once(tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as caught:
        check(
            _settings(
                chdir=str(tmp_path), pythonpath="none", access_log="no/a", max_head="1K", body_spool="1"
            )
        )
    assert caught.value.message.splitlines() == [
        "5 mistakes",
        "max_head is 1K (--max-head on the command line), but has to be larger than max_request_line, which "
        "is 8190 (the default)",
        "max_head is 1K (--max-head on the command line), but has to be larger than max_header, which is 16K "
        "(the default)",
        "body_spool is 1 (--body-spool on the command line), but has to be at least body_memory, which is "
        "128K (the default)",
        '--pythonpath on the command line: expected a directory, got "none", which is not there',
        f'--access-log on the command line: cannot write "{tmp_path}/no/a": No such file or directory',
    ]


@pytest.mark.parametrize("environment", [{"PORTICO_BIND": ","}, {"PORTICO_BIND": " , , "}])
def test_asks_for_an_address(environment: dict[str, str]) -> None:
    with pytest.raises(OperatorError, match="PORTICO_BIND in the environment: expected at least one address"):
        check(resolve({"app": ["shop"]}, environment))


def test_says_which_option_of_gunicorn_is_wrong() -> None:
    with pytest.raises(OperatorError, match=r"^--workers of GUNICORN_CMD_ARGS in the environment: expected"):
        resolve({}, {}, inherited={"workers": ["many"]})


def test_asks_for_an_access_log_that_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="--access-log on the command line: cannot write"):
        check(_settings(access_log=str(tmp_path / "none" / "access.log")))


@pytest.mark.parametrize("path", ["none", "a,b"])
def test_asks_for_an_import_path_that_exists(tmp_path: Path, path: str) -> None:
    with pytest.raises(OperatorError, match="--pythonpath on the command line: expected a directory"):
        check(_settings(chdir=str(tmp_path), pythonpath=path))
    (tmp_path / path).mkdir()
    check(_settings(chdir=str(tmp_path), pythonpath=path))


def _check_bind(*binds: str, **texts: str) -> None:
    check(resolve({"app": ["shop"], "bind": binds, **{name: [text] for name, text in texts.items()}}, {}))


@pytest.mark.parametrize(
    ("binds", "sentence"),
    [
        ([":80", "http://0.0.0.0:80"], "0.0.0.0:80 is given twice"),
        ([":80", "uwsgi://:80"], "0.0.0.0:80 and uwsgi://0.0.0.0:80 are the same place"),
        (["unix:a", "unix:a?mode=660"], "unix:a and unix:a?mode=660 are the same place"),
        (["unix:./a", "scgi+unix:{here}/a"], "unix:./a and scgi+unix:{here}/a are the same place"),
        (["unix:@a", "http+unix://@a"], "unix:@a is given twice"),
        (["fd://3", "uwsgi+fd://3"], "fd://3 and uwsgi+fd://3 are the same place"),
        (["fd://web", "fd://web?proxy=required"], "fd://web and fd://web?proxy=required are the same place"),
    ],
)
def test_rejects_one_place_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, binds: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OperatorError) as caught:
        _check_bind(*(bind.format(here=tmp_path) for bind in binds))
    assert caught.value.message == f"--bind on the command line: {sentence.format(here=tmp_path)}"


def test_takes_places_that_only_look_alike() -> None:
    _check_bind(":0", ":0", "uwsgi://:0", "unix:a", "unix:@a", ":80", ":81", "[::]:80", "fd://3", "fd://4")


@pytest.mark.parametrize(
    ("bind", "name", "peers"),
    [
        ("uwsgi://:3031", "uwsgi_allow_from", "none"),
        ("uwsgi://:3031", "uwsgi_allow_from", "unix"),
        ("fastcgi+unix:a", "fastcgi_allow_from", "10.0.0.0/8"),
        ("scgi+unix:@a", "scgi_allow_from", "10.0.0.0/8"),
        ("scgi+fd://3", "scgi_allow_from", "none"),
        (":80?proxy=required", "proxy_allow_from", "none"),
        ("unix:a?proxy=required", "proxy_allow_from", "127.0.0.1"),
        ("uwsgi://:80?proxy=required", "proxy_allow_from", "unix"),
    ],
)
def test_rejects_a_listener_that_nobody_may_speak_to(bind: str, name: str, peers: str) -> None:
    with pytest.raises(OperatorError) as caught:
        _check_bind(":1", bind, **{name: peers})
    assert caught.value.message == (
        f"nobody could use {parse_address(bind)} (--bind on the command line), because {name} is {peers} "
        f"(--{name.replace('_', '-')} on the command line)"
    )


@pytest.mark.parametrize(
    ("bind", "name", "peers"),
    [
        ("uwsgi://:3031", "uwsgi_allow_from", "::1"),
        ("uwsgi://:3031", "uwsgi_allow_from", "*"),
        ("uwsgi://:3031", "scgi_allow_from", "none"),
        ("uwsgi://:3031", "proxy_allow_from", "none"),
        ("fastcgi+unix:a", "fastcgi_allow_from", "*"),
        ("fastcgi+fd://3", "fastcgi_allow_from", "unix"),
        ("fastcgi+fd://3", "fastcgi_allow_from", "10.0.0.0/8"),
        (":80?proxy=required", "proxy_allow_from", "10.0.0.0/8"),
    ],
)
def test_takes_a_listener_that_somebody_may_speak_to(bind: str, name: str, peers: str) -> None:
    _check_bind(bind, **{name: peers})


def test_trusts_this_machine_alone_with_protocols_that_name_the_client() -> None:
    settings = resolve({}, {"PORTICO_UWSGI_ALLOW_FROM": "10.0.0.0/8, unix"})
    assert settings.uwsgi_allow_from == ("10.0.0.0/8", "unix")
    this_machine = ("127.0.0.0/8", "::1", "unix")
    assert settings.fastcgi_allow_from == settings.scgi_allow_from == this_machine
    assert settings.proxy_allow_from == this_machine


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (
            {"max_header": "64K"},
            "max_head is 64K (the default), but has to be larger than max_header, which is 64K "
            "(--max-header on the command line)",
        ),
        (
            {"max_head": "8190", "max_header": "1K"},
            "max_head is 8190 (--max-head on the command line), but has to be larger than max_request_line, "
            "which is 8190 (the default)",
        ),
        (
            {"body_spool": "64K"},
            "body_spool is 64K (--body-spool on the command line), but has to be at least body_memory, which "
            "is 128K (the default)",
        ),
        (
            {"response_memory": "65M"},
            "response_spool is 64M (the default), but has to be at least response_memory, which is 65M "
            "(--response-memory on the command line)",
        ),
        (
            {"workers": "2", "workers_min": "3"},
            "workers is 2 (--workers on the command line), but has to be at least workers_min, which is 3 "
            "(--workers-min on the command line)",
        ),
        (
            {"workers_min": "3", "workers_max": "2"},
            "workers_max is 2 (--workers-max on the command line), but has to be at least workers_min, which "
            "is 3 (--workers-min on the command line)",
        ),
    ],
    ids=["header", "request line", "body", "response", "workers", "most workers"],
)
def test_rejects_a_part_larger_than_the_whole(texts: dict[str, str], sentence: str) -> None:
    with pytest.raises(OperatorError) as caught:
        check(_settings(**texts))
    assert caught.value.message == sentence


def test_takes_a_part_that_just_fits() -> None:
    check(_settings(max_head="8191", max_header="8190"))
    check(_settings(body_memory="1M", body_spool="1M", response_memory="0", response_spool="0"))


@pytest.mark.parametrize(("name", "value"), [("writable", "/srv"), ("landlock", "try")])
def test_rejects_an_exception_to_a_rule_that_is_off(name: str, value: str) -> None:
    with pytest.raises(OperatorError) as caught:
        check(_settings(**{name: value}))
    assert caught.value.message == (
        f"{name} (--{name} on the command line) has an effect with read_only alone, which is off"
    )
    check(_settings(**{name: value, "read_only": "true"}))


def test_rejects_a_refork_of_what_has_an_event_loop() -> None:
    values = {"refork_after": "20", "preload": "true"}
    with pytest.raises(OperatorError) as caught:
        check(_settings(worker="gevent", **values))
    assert caught.value.message == (
        "refork_after is 20 (--refork-after on the command line), which is for worker threads: gevent "
        "(--worker on the command line) has an event loop that no other process can have"
    )
    check(_settings(**values))


def test_keeps_a_link_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = tmp_path / "release-1"
    release.mkdir()
    (tmp_path / "current").symlink_to(release)
    assert working_directory(_settings(chdir=str(tmp_path / "current"))) == str(tmp_path / "current")
    monkeypatch.chdir(release)
    monkeypatch.setenv("PWD", str(tmp_path / "current"))
    assert working_directory(_settings()) == str(tmp_path / "current")
    monkeypatch.setenv("PWD", str(tmp_path))
    assert working_directory(_settings()) == str(release)


def test_serves_files_from_directories_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    static = ["/static=public", "/static=.", "/media=no"]
    settings = resolve({"app": ["shop"], "chdir": [str(tmp_path)], "static": static}, {})
    assert settings.static_directories == ("/static=public", "/static=.", "/media=no")
    with pytest.raises(OperatorError) as failure:
        check(settings)
    assert failure.value.message.splitlines() == [
        "2 mistakes",
        "--static on the command line: /static is given twice",
        '--static on the command line: expected a directory for /media, got "no", which is none',
    ]


def test_splits_directories_of_files_in_the_environment_as_paths() -> None:
    settings = resolve({}, {"PORTICO_STATIC": "/static=a,b:/media=c"})
    assert settings.static_directories == ("/static=a,b", "/media=c")


def test_files_that_are_named_are_in_directories_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    options = {
        "x_sendfile": ["public", "none"],
        "x_accel_redirect": ["/in=public", "/in=.", "/out=no"],
        "static": ["auto"],
    }
    settings = resolve({"app": ["shop"], "chdir": [str(tmp_path)], **options}, {})
    with pytest.raises(OperatorError) as failure:
        check(settings)
    assert failure.value.message.splitlines() == [
        "3 mistakes",
        "--x-accel-redirect on the command line: /in is given twice",
        '--x-accel-redirect on the command line: expected a directory for /out, got "no", which is none',
        '--x-sendfile on the command line: expected a directory, got "none", which is none',
    ]
