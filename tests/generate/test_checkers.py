"""Every generated file passes the checker of the program that it is for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support.server import free_port

from .made import generated
from .programs import complaints, program

TCP, UNIX = "127.0.0.1:8000", "/run/portico/portico.sock"
SPEAKS = {
    "nginx": ("http", "uwsgi", "fastcgi", "scgi"),
    "apache": ("http", "uwsgi", "fastcgi", "scgi"),
    "haproxy": ("http", "fastcgi"),
}
EXTREMES = {
    "usual": (),
    "no limits": (
        *("--timeout", "0", "--queue-timeout", "0", "--max-request-body", "0", "--min-body-rate", "0"),
        *("--max-requests-per-connection", "0"),
    ),
    "nothing kept": ("--keep-alive", "0"),
    "smallest": (
        *("--keep-alive", "100ms", "--timeout", "1ms", "--queue-timeout", "1ms", "--head-timeout", "100ms"),
        *("--body-timeout", "100ms", "--write-timeout", "100ms", "--max-request-body", "1"),
        *("--max-request-line", "64", "--max-header", "64", "--max-head", "65", "--max-headers", "1"),
        *("--body-memory", "0", "--max-variables", "1", "--max-variables-size", "64"),
        *("--max-connections", "1", "--max-requests-per-connection", "1"),
    ),
    "largest": (
        *("--keep-alive", "1d", "--timeout", "1d", "--queue-timeout", "1d", "--head-timeout", "1d"),
        *("--body-timeout", "1d", "--write-timeout", "1d", "--max-request-body", "5T", "--body-spool", "5T"),
        *("--max-request-line", "200K", "--max-header", "200K", "--max-head", "1M", "--max-headers", "10000"),
        *("--body-memory", "1G", "--max-variables", "10000", "--max-variables-size", "1M"),
        *("--max-connections", "1000000", "--max-requests-per-connection", "1000000000"),
    ),
    "all of it": (
        *("--health-path", "/livez", "--health-path", "/readyz", "--name", "a-shop"),
        *("--server-name", "shop.example", "--server-name", "*.shop.example"),
    ),
    "ipv6": ("--server-name", "*.shop.example", "-b", "[::1]:8001"),
}


def bind(scheme: str, place: str, options: str = "") -> str:
    """An address, in the form of a --bind."""
    text = f"{scheme}://{TCP}" if place == "tcp" else f"{scheme}+unix:{UNIX}"
    return f"{text}?{options}" if options else text


def written(folder: Path, target: str, *arguments: str) -> Path:
    """The file of `target`, in `folder`."""
    name = "haproxy.cfg" if target == "haproxy" else "site.conf"
    file = folder / name
    file.write_text(generated(target, "shop.wsgi", *arguments))
    return file


@pytest.mark.parametrize("place", ["tcp", "unix"])
@pytest.mark.parametrize(("proxy", "scheme"), [(proxy, one) for proxy, all in SPEAKS.items() for one in all])
def test_a_reverse_proxy_takes_its_file(proxy: str, scheme: str, place: str, tmp_path: Path) -> None:
    for name, options in EXTREMES.items():
        static = ("--static", f"/static={tmp_path}") if proxy != "haproxy" else ()
        listen = ("--listen", f"127.0.0.1:{free_port()}")
        file = written(tmp_path, proxy, "-b", bind(scheme, place), *options, *static, *listen)
        assert complaints(proxy, file) == "", f"{name}\n{file.read_text()}"


@pytest.mark.parametrize("place", ["tcp", "unix"])
@pytest.mark.parametrize("scheme", SPEAKS["haproxy"])
def test_haproxy_takes_a_file_with_the_proxy_protocol(scheme: str, place: str, tmp_path: Path) -> None:
    file = written(tmp_path, "haproxy", "-b", bind(scheme, place, "proxy=required"))
    assert complaints("haproxy", file) == ""


@pytest.mark.parametrize("proxy", ["apache", "haproxy"])
def test_a_reverse_proxy_takes_the_usual_port(proxy: str, tmp_path: Path) -> None:
    # nginx would bind it even for a test.
    assert complaints(proxy, written(tmp_path, proxy)) == ""


@pytest.mark.parametrize("proxy", SPEAKS)
def test_a_checker_can_complain(proxy: str, tmp_path: Path) -> None:
    file = written(tmp_path, proxy, "--listen", f"127.0.0.1:{free_port()}")
    file.write_text(
        re.sub(r"(?m)^(\s*)(proxy_read_timeout|Timeout|timeout server) ", r"\1no_such_\2 ", file.read_text())
    )
    assert "no_such_" in complaints(proxy, file)


SERVICES = {
    "http tcp": ("-b", "127.0.0.1:8000"),
    "http unix": ("-b", "unix:/run/shop.sock?mode=660&owner=root&group=www-data"),
    "uwsgi tcp": ("-b", "uwsgi://127.0.0.1:8000?persistent=on"),
    "uwsgi unix": ("-b", "uwsgi+unix:/run/shop.sock"),
    "fastcgi tcp": ("-b", "fastcgi://[::1]:8000"),
    "fastcgi unix": ("-b", "fastcgi+unix:@shop?stderr=on"),
    "scgi tcp": ("-b", "scgi://0.0.0.0:80?proxy=required"),
    "scgi unix": ("-b", "scgi+unix:/run/a b%c.sock"),
    "several": ("-b", "127.0.0.1:8000", "-b", "[::]:8000", "-b", "unix:relative.sock"),
    "words": ("-e", 'A=it\'s 50% "of" $HOME\\n', "--access-log", "/var/log/shop/access log"),
    "user": ("--user", "www-data", "--graceful-timeout", "0"),
}


@pytest.mark.parametrize("options", SERVICES.values(), ids=SERVICES)
def test_systemd_takes_its_units(options: tuple[str, ...], tmp_path: Path) -> None:
    service = tmp_path / "shop.service"
    generated("systemd", "shop.wsgi", *options, "--output", str(service))
    assert verified(tmp_path) == ""


def test_systemd_can_complain(tmp_path: Path) -> None:
    service = tmp_path / "shop.service"
    generated("systemd", "shop.wsgi", "--output", str(service))
    service.write_text(service.read_text().replace("KillMode=mixed", "KillMode=most"))
    assert "kill mode" in verified(tmp_path)


def verified(folder: Path) -> str:
    """What systemd says against the units in `folder`."""
    units = sorted(str(path) for path in folder.iterdir())
    found = subprocess.run(
        [program("systemd-analyze"), "verify", "--man=no", *units], capture_output=True, text=True, timeout=60
    )
    lines = [line for line in found.stderr.splitlines() if str(folder) in line or "shop" in line]
    return "\n".join(lines) or ("" if found.returncode == 0 else found.stderr)
