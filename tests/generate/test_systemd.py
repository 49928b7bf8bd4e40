"""The units of systemd: the command, the sockets, times and limits; and the command at work, activated."""

from __future__ import annotations

import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click import Context
from portico.commands.all import commands
from portico.config.settings import Settings
from portico.config.sources import raw_arguments, resolve
from portico.errors import OperatorError
from portico.process.descriptor_limit import wanted_descriptors
from support.server import TESTS, free_port
from support.waiting import wait_until

from .made import generated, seconds, statements, value_of
from .programs import program


def settings_of(command: list[str]) -> Settings:
    """What `portico run` makes of a command, without the environment."""
    run = commands.get_command(Context(commands), "run")
    assert run is not None
    start = command.index("run") + 1
    return resolve(raw_arguments(run.make_context("run", command[start:]).params), {})


def started(unit: str) -> list[str]:
    """The command of a service, with the escapes of systemd taken back."""
    found = re.search(r"(?ms)^ExecStart=(.*?[^\\])$", unit)
    assert found
    words = shlex.split(found[1].replace("\\\n", ""))
    for sign in "%$":
        # A single one would stand for something else.
        assert all(set(map(len, re.findall(f"[{sign}]+", word))) <= {2} for word in words)
        words = [word.replace(sign * 2, sign) for word in words]
    return words


def units(folder: Path, *arguments: str) -> dict[str, str]:
    """The generated units, by name."""
    generated("systemd", "shop.wsgi", *arguments, "--output", str(folder / "shop.service"))
    return {path.name: path.read_text() for path in folder.iterdir()}


OPTIONS = {
    "none": (),
    "numbers": ("--workers", "3", "--threads", "5", "--timeout", "90s", "--max-head", "100K"),
    "many": ("--health-path", "/a", "--health-path", "/b", "--forwarded-allow-ips", "10.0.0.0/8"),
    "words": ("-e", 'A=it\'s 50% "of" $HOME \\n ; ${B}', "-e", "B=", "--access-log", "my log"),
    "paths": ("--pythonpath", "a b", "--pythonpath", "/srv/c"),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_service_starts_portico_with_the_same_settings(options: tuple[str, ...], tmp_path: Path) -> None:
    command = started(units(tmp_path, *options)["shop.service"])
    assert Path(command[0]).is_absolute()
    found, given = settings_of(command), settings_of(["run", "shop.wsgi", *options])
    changed = {
        Settings.bind.attribute: ("fd://shop",),
        Settings.chdir.attribute: str(Path.cwd()),
        Settings.name.attribute: "shop",
    }
    assert found.values == {**given.values, **changed}


def test_the_environment_becomes_options(tmp_path: Path) -> None:
    text = generated("systemd", "shop.wsgi", environment={"WEB_CONCURRENCY": "4", "PORT": "81"})
    assert settings_of(started(text)).workers == 4
    assert value_of(text, "ListenStream") == "0.0.0.0:81"


def test_the_working_directory_is_kept_as_it_was_given(tmp_path: Path) -> None:
    # Not the one behind a link: a reload has to see where the link leads then.
    (tmp_path / "releases").mkdir()
    (tmp_path / "current").symlink_to(tmp_path / "releases")
    text = generated("systemd", "shop.wsgi", "--chdir", str(tmp_path / "current"))
    assert settings_of(started(text)).chdir == str(tmp_path / "current")


BINDS = {
    "127.0.0.1:81": ("127.0.0.1:81", "fd://shop", {"NoDelay=yes", "DeferAcceptSec=1"}),
    ":81": ("0.0.0.0:81", "fd://shop", {"NoDelay=yes", "DeferAcceptSec=1"}),
    "localhost:81": ("127.0.0.1:81", "fd://shop", {"NoDelay=yes", "DeferAcceptSec=1"}),
    "[::]:81": ("[::]:81", "fd://shop", {"NoDelay=yes", "DeferAcceptSec=1", "BindIPv6Only=both"}),
    "uwsgi://127.0.0.1:81?persistent=on": ("127.0.0.1:81", "uwsgi+fd://shop?persistent=on", set()),
    "fastcgi+unix:/run/a.sock?stderr=on": ("/run/a.sock", "fastcgi+fd://shop?stderr=on", {"SocketMode=0755"}),
    "unix:/run/a.sock?mode=660&owner=me&group=www-data": (
        "/run/a.sock",
        "fd://shop",
        {"SocketMode=0660", "SocketUser=me", "SocketGroup=www-data", "RemoveOnStop=yes"},
    ),
    "unix:/run/50%.sock": ("/run/50%%.sock", "fd://shop", set()),
    "http+unix:@shop?proxy=required": ("@shop", "fd://shop?proxy=required", set()),
}


@pytest.mark.parametrize("bind", BINDS)
def test_a_socket_is_what_portico_would_have_bound(bind: str, tmp_path: Path) -> None:
    place, by_name, lines = BINDS[bind]
    made = units(tmp_path, "-b", bind, "--backlog", "77")
    assert set(made) == {"shop.service", "shop.socket"}
    socket = made["shop.socket"]
    assert value_of(socket, "ListenStream") == place
    assert value_of(socket, "FileDescriptorName") == "shop"
    assert value_of(socket, "Service") == "shop.service"
    assert value_of(socket, "Backlog") == "77"
    assert lines <= set(statements(socket))
    assert settings_of(started(made["shop.service"])).bind == (by_name,)


def test_each_address_has_a_socket_of_its_own(tmp_path: Path) -> None:
    made = units(tmp_path, "-b", "127.0.0.1:81", "-b", "[::1]:81", "-b", "scgi+unix:/run/a.sock")
    service = made["shop.service"]
    assert settings_of(started(service)).bind == ("fd://shop", "fd://shop-2", "scgi+fd://shop-3")
    sockets = ["shop.socket", "shop-2.socket", "shop-3.socket"]
    assert set(made) == {"shop.service", *sockets}
    assert value_of(service, "Requires") == " ".join(sockets)
    assert [line for line in statements(service) if line.startswith("Sockets=")] == [
        f"Sockets={one}" for one in sockets
    ]
    names = [value_of(made[one], "FileDescriptorName") for one in sockets]
    assert names == ["shop", "shop-2", "shop-3"]
    assert {value_of(made[one], "Service") for one in sockets} == {"shop.service"}
    # Else the second would take the port of the first.
    assert value_of(made["shop-2.socket"], "BindIPv6Only") == "ipv6-only"


@pytest.mark.parametrize("graceful", ["0", "30s", "1500ms", "5m"])
@pytest.mark.parametrize(("delay", "delay_s"), [((), 0), (("--drain-delay", "2m"), 120)])
def test_systemd_waits_longer_than_portico_needs_to_stop(
    graceful: str, delay: tuple[str, ...], delay_s: float
) -> None:
    options = ("shop", "--graceful-timeout", graceful, *delay)
    text = generated("systemd", *options)
    # Beyond its graceful timeout a worker has a second to leave.
    needed_s = settings_of(["run", *options]).graceful_timeout_s + delay_s + 1
    assert needed_s + 1 < seconds(value_of(text, "TimeoutStopSec")) <= needed_s + 10
    assert value_of(text, "KillMode") == "mixed"
    assert value_of(text, "ExecReload") == "/bin/kill -HUP $MAINPID"


def test_systemd_is_told_by_the_supervisor_and_watches_it() -> None:
    text = generated("systemd", "shop")
    assert value_of(text, "Type") == "notify"
    assert value_of(text, "NotifyAccess") == "main"
    assert seconds(value_of(text, "WatchdogSec")) == 60
    # Calls of any length are no reason to restart it.
    text = generated("systemd", "shop", "--timeout", "0")
    assert not any(line.startswith("WatchdogSec=") for line in statements(text))
    assert "# No WatchdogSec=" in text


def test_sockets_are_kept_through_a_restart_by_any_version_of_systemd() -> None:
    text = generated("systemd", "shop")
    most = value_of(text, "FileDescriptorStoreMax")
    assert int(most) > 0
    assert value_of(text, "Environment") == f"FDSTORE={most}"


@pytest.mark.parametrize(
    ("bind", "preserve"),
    [
        ("unix:/run/shop.sock", "restart"),
        ("unix:/run/shop/shop.sock", "yes"),
        ("unix:/run/shop-2/shop.sock", "restart"),
        ("unix:@/run/shop/shop", "restart"),
    ],
)
def test_the_runtime_directory_goes_with_the_service_unless_a_socket_is_in_it(
    bind: str, preserve: str
) -> None:
    text = generated("systemd", "shop", "-b", bind)
    assert value_of(text, "RuntimeDirectory") == "shop"
    assert value_of(text, "RuntimeDirectoryPreserve") == preserve


RAISE = """
import resource, sys
from portico.config.sources import raw_arguments, resolve
from portico.process.descriptor_limit import raise_descriptor_limit
limit, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, limit), limit))
print(raise_descriptor_limit(resolve({"max_connections": [str(connections)]}, {})))
"""


@pytest.mark.parametrize("connections", [1, 500])
def test_the_limit_of_descriptors_is_what_portico_wants_to_have(connections: int) -> None:
    limit = int(value_of(generated("systemd", "shop", "--max-connections", str(connections)), "LimitNOFILE"))
    assert limit <= resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    warnings = [
        subprocess.run(
            [sys.executable, "-c", RAISE, str(hard), str(connections)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hard in (limit, limit - 1)
    ]
    assert warnings[0] == "\n"
    assert "raise the limit" in warnings[1]
    assert limit == wanted_descriptors(settings_of(["run", "shop", "--max-connections", str(connections)]))


def test_what_the_paths_need_is_not_hidden(tmp_path: Path) -> None:
    def value(name: str, *options: str) -> str:
        return value_of(generated("systemd", "shop", *options), name)

    # The interpreter itself is one of the paths.
    is_at_home = sys.executable.startswith(("/home/", "/root/"))
    is_temporary = sys.executable.startswith(("/tmp/", "/var/tmp/"))
    assert value("ProtectHome", "--chdir", "/srv/shop") == ("read-only" if is_at_home else "yes")
    for path in ("/home/me/shop", "/root/shop", "/home"):
        assert value("ProtectHome", "--chdir", path) == "read-only"
        assert value("ProtectHome", "--chdir", "/srv/shop", "--pythonpath", path) == "read-only"
    assert value("PrivateTmp", "--chdir", "/srv/shop") == ("no" if is_temporary else "yes")
    assert value("PrivateTmp", "--chdir", "/tmp/shop") == "no"
    assert (
        value("ReadWritePaths", "--chdir", "/srv/shop", "--access-log", "logs/access.log") == "/srv/shop/logs"
    )
    assert "ReadWritePaths=/" not in generated("systemd", "shop", "--access-log", "off")
    logs = ("--access-log", "/var/log/shop/a", "--error-log")
    assert value("ReadWritePaths", *logs, "/var/log/shop/b") == "/var/log/shop"
    assert value("ReadWritePaths", *logs, "/var/log/b") == "/var/log/shop /var/log"


def test_the_service_is_well_enclosed(tmp_path: Path) -> None:
    file = tmp_path / "shop.service"
    generated("systemd", "shop", "--chdir", "/srv/shop", "--output", str(file))
    found = subprocess.run(
        [program("systemd-analyze"), "security", "--offline=true", "--no-pager", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", found.stdout)
    assert exposure, found.stdout + found.stderr
    assert float(exposure[1]) < 3, found.stdout


def test_a_user_can_be_named() -> None:
    text = generated("systemd", "shop", "--user", "shop-user")
    assert value_of(text, "User") == "shop-user"
    assert "DynamicUser" not in text


def test_systemd_gives_up_what_portico_would() -> None:
    text = generated(
        *("systemd", "shop", "-u", "shop", "-g", "web", "--groups", "redis,video", "--umask", "27"),
        *(
            "--limit",
            "nofile=4096:8192,core=unlimited",
            "--capabilities",
            "net_bind_service",
            "--no-new-privs",
        ),
    )
    found = {
        name: value_of(text, name)
        for name in (
            *("User", "Group", "SupplementaryGroups", "UMask", "LimitNOFILE", "LimitCORE"),
            *("CapabilityBoundingSet", "AmbientCapabilities"),
        )
    }
    assert found == {
        "User": "shop",
        "Group": "web",
        "SupplementaryGroups": "redis video",
        "UMask": "0027",
        "LimitNOFILE": "4096:8192",
        "LimitCORE": "infinity",
        "CapabilityBoundingSet": "CAP_NET_BIND_SERVICE",
        "AmbientCapabilities": "CAP_NET_BIND_SERVICE",
    }
    # Who is no root could not do it again.
    command = text.partition("ExecStart=")[2].partition("ExecReload")[0]
    assert not {"--user", "--group", "--groups", "--limit", "--capabilities"} & {*command.split()}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("-b", "fd://3"), "fd://3 does not say where the socket listens"),
        (("-b", "127.0.0.1:0"), "127.0.0.1:0: systemd listens on a port that is known"),
        (("-b", "unix:/run/a\nExecStart=/bin/x"), "which a unit of systemd cannot hold"),
        (("-b", "unix:/run/a\\"), "which a unit of systemd cannot hold"),
        (("-b", "unix:/run/a?owner=m\u2028e"), "which a unit of systemd cannot hold"),
        (("-b", "shop.example:80"), "shop.example:80: systemd listens on an IP address"),
        (("--user", "a b"), '--user on the command line: expected a user, by name or by number, got "a b"'),
        (("--output", "shop.txt"), '--output: expected a file such as shop.service, got "shop.txt"'),
        (
            ("--output", "web.service", "--name", "shop"),
            '"web.service" is the service web, but --name is shop',
        ),
    ],
)
def test_says_what_systemd_cannot_have(options: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(OperatorError) as failure:
        generated("systemd", "shop", *options)
    assert sentence in failure.value.message


@pytest.mark.parametrize("place", ["tcp", "unix"])
def test_the_command_takes_the_sockets_that_systemd_passes_on(place: str, tmp_path: Path) -> None:
    port = free_port()
    path = tmp_path / "shop.sock"
    bind = f"unix:{path}" if place == "unix" else f"127.0.0.1:{port}"
    folder = tmp_path / "units"
    folder.mkdir()
    generated(
        *("systemd", "apps.mirror", "-b", bind, "-b", f"uwsgi://127.0.0.1:{free_port()}", "-w", "1"),
        *("--chdir", str(TESTS), "--output", str(folder / "shop.service")),
    )
    made = {file.name: file.read_text() for file in folder.iterdir()}
    sockets = ["shop.socket", "shop-2.socket"]
    command = [program("systemd-socket-activate")]
    command += [f"--listen={value_of(made[name], 'ListenStream')}" for name in sockets]
    command += ["--fdname=" + ":".join(value_of(made[name], "FileDescriptorName") for name in sockets)]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([*command, *started(made["shop.service"])], stdout=output, stderr=output)
    try:
        transport = httpx.HTTPTransport(uds=str(path)) if place == "unix" else None
        with httpx.Client(
            transport=transport, base_url=f"http://127.0.0.1:{port}", trust_env=False
        ) as client:
            wait_until(lambda: "Listening on" in log.read_text(), what="systemd to listen")
            assert client.get("/").status_code == 200, log.read_text()
    finally:
        process.terminate()
        assert process.wait(15) == 0, log.read_text()
