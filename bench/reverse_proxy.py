"""nginx in front of a server, on the load generator's CPU: what the server costs is still its own."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_S = 5
STOP_S = 5

_CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
user root;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    uwsgi_temp_path {folder}/uwsgi;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    upstream application {{
        server 127.0.0.1:{upstream_port};
        keepalive 64;
        keepalive_requests 1000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            {passing}
        }}
    }}
}}
"""
_PASSING = {
    "http": 'proxy_pass http://application; proxy_http_version 1.1; proxy_set_header Connection "";',
    "uwsgi": "include /etc/nginx/uwsgi_params; uwsgi_pass 127.0.0.1:{upstream_port};",
}


class ProxyFailed(Exception):
    """nginx is not there, or does not start."""


@contextmanager
def nginx(protocol: str, port: int, upstream_port: int, folder: Path) -> Iterator[None]:
    """Run nginx on `port` before the server that speaks `protocol` on `upstream_port`."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise ProxyFailed("nginx is not installed: `apt-get install nginx-light` (as root) brings it")
    folder.mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            folder=folder,
            port=port,
            upstream_port=upstream_port,
            passing=_PASSING[protocol].format(upstream_port=upstream_port),
        )
    )
    command = [program, "-c", str(configuration), "-p", str(folder), "-e", str(folder / "nginx.log")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        # nginx writes it once it listens.
        while not (folder / "nginx.pid").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise ProxyFailed(f"nginx did not start: {(folder / 'nginx.log').read_text()[-300:]}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(STOP_S)
