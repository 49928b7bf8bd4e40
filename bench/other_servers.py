"""nginx and HAProxy as servers of their own, where no application responds: files, and other servers."""

from __future__ import annotations

import shutil
from pathlib import Path

FILES_PREFIX = "/files"
NGINX = Path(shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "/usr/sbin/nginx")
HAPROXY = Path(shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "/usr/sbin/haproxy")

_NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
user root;
events {{ worker_connections 1024; }}
http {{
    types {{ text/plain txt; }}
    access_log off;
    keepalive_requests 100000000;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=1000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    uwsgi_temp_path {folder}/uwsgi;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    {location}
}}
"""
_SERVING = """
    server {{
        listen 127.0.0.1:PORT backlog=2048;
        location {prefix}/ {{ alias {files}/; }}
    }}"""
_PASSING_ON = """
    upstream others {{
        server 127.0.0.1:{upstream};
        keepalive 64;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:PORT backlog=2048;
        location / {{
            proxy_pass http://others;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}"""
_HAPROXY = """\
global
    nbthread 1
    maxconn 1024
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
    option forwardfor
frontend door
    bind 127.0.0.1:{port} backlog 2048
    default_backend others
backend others
    server one 127.0.0.1:{upstream}
"""
LAST = "last"


def serving(files: Path | None) -> str:
    """What is nginx's part of the configuration where it serves `files`."""
    return _SERVING.format(prefix=FILES_PREFIX, files=files)


def passing_on(upstream: int) -> str:
    """The same where it passes everything on to a port, over kept connections."""
    return _PASSING_ON.format(upstream=upstream)


def nginx(folder: Path, port: int, location: str) -> list[str]:
    """The command, whose configuration is in `folder`."""
    path = folder / "nginx.conf"
    path.write_text(_NGINX.format(folder=folder, location=location.replace("PORT", str(port))))
    return [str(NGINX), "-c", str(path), "-p", str(folder), "-e", str(folder / "nginx.log")]


def haproxy(folder: Path, port: int, upstream: int) -> list[str]:
    """The command, whose configuration is in `folder`."""
    path = folder / "haproxy.cfg"
    path.write_text(_HAPROXY.format(port=port, upstream=upstream))
    return [str(HAPROXY), "-f", str(path), "-db"]


def portico(folder: Path, rows: str) -> Path:
    """The configuration file of a portico with `rows` of routes."""
    path = folder / "portico.toml"
    path.write_text(rows)
    return path


def to(upstream: int) -> str:
    """The row of a portico that passes everything on."""
    return f'[[upstream]]\nto = "http://127.0.0.1:{upstream}"\n'


def applications(application: str, count: int) -> str:
    """The rows of `application` at so many paths, of which one is LAST."""
    names = [*(f"application-{number}" for number in range(1, count)), LAST]
    return "".join(f'[[app]]\napp = "{application}"\nmount = "/{name}"\n' for name in names)
