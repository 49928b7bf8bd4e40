"""What reverse proxies say of the client in `X-Forwarded-*`, believed by counting the reverse proxies.

Receives an environ as the connection of the last reverse proxy gives it; hands on one with the client's
address, scheme, host, port and prefix. Runs in the calling thread, before the application. Under portico
`--forwarded-allow-ips` does this by the addresses of the reverse proxies, before any application is called.
"""

from __future__ import annotations

from portico.middleware.fields import list_items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portico.types import Environ, StartResponse, WSGIApplication

_KEPT = ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME")


class ProxyFix:
    """Set the environ by the `X-Forwarded-*` headers of as many reverse proxies as there are.

    Each argument is how many reverse proxies add to the header, 0 or more; with 0 it is not believed. A
    number that is too high lets clients write the value themselves. Of the header's values the one that many
    from the right counts; if there are fewer, nothing is changed.

    * `x_for`: `X-Forwarded-For` becomes `REMOTE_ADDR`;
    * `x_proto`: `X-Forwarded-Proto` becomes `wsgi.url_scheme`;
    * `x_host`: `X-Forwarded-Host` becomes `HTTP_HOST`, `SERVER_NAME` and, where it has a port, `SERVER_PORT`;
    * `x_port`: `X-Forwarded-Port` becomes `SERVER_PORT` and the port in `HTTP_HOST`;
    * `x_prefix`: `X-Forwarded-Prefix` becomes `SCRIPT_NAME`.

    What was there before is in `environ["werkzeug.proxy_fix.orig"]`, a dict. As Werkzeug's, whose key that
    is. Raises ValueError for anything else than such a number.

        application = ProxyFix(application, x_for=1, x_proto=1, x_host=1)
    """

    def __init__(
        self,
        app: WSGIApplication,
        x_for: int = 1,
        x_proto: int = 1,
        x_host: int = 0,
        x_port: int = 0,
        x_prefix: int = 0,
    ) -> None:
        self.app = app
        self.x_for = _checked("x_for", x_for)
        self.x_proto = _checked("x_proto", x_proto)
        self.x_host = _checked("x_host", x_host)
        self.x_port = _checked("x_port", x_port)
        self.x_prefix = _checked("x_prefix", x_prefix)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Call the application with an environ that is the client's."""
        environ["werkzeug.proxy_fix.orig"] = {key: environ.get(key) for key in _KEPT}
        if address := _believed(environ.get("HTTP_X_FORWARDED_FOR"), self.x_for):
            environ["REMOTE_ADDR"] = address
        if scheme := _believed(environ.get("HTTP_X_FORWARDED_PROTO"), self.x_proto):
            environ["wsgi.url_scheme"] = scheme
        if host := _believed(environ.get("HTTP_X_FORWARDED_HOST"), self.x_host):
            environ["HTTP_HOST"] = host
            environ["SERVER_NAME"], port = _host_and_port(host)
            if port is not None:
                environ["SERVER_PORT"] = port
        if port := _believed(environ.get("HTTP_X_FORWARDED_PORT"), self.x_port):
            environ["SERVER_PORT"] = port
            if environ.get("HTTP_HOST"):
                environ["HTTP_HOST"] = f"{_host_and_port(environ['HTTP_HOST'])[0]}:{port}"
        if prefix := _believed(environ.get("HTTP_X_FORWARDED_PREFIX"), self.x_prefix):
            environ["SCRIPT_NAME"] = prefix
        return self.app(environ, start_response)


def _checked(name: str, count: int) -> int:
    if not isinstance(count, int) or count < 0:
        raise ValueError(f"{name}: expected a number of reverse proxies, 0 or more, got {count!r}")
    return count


def _believed(value: str | None, proxies: int) -> str | None:
    """Return what the first of so many reverse proxies wrote, if all of them wrote."""
    if not proxies or not value:
        return None
    items = list_items(value)
    return items[-proxies] if len(items) >= proxies else None


def _host_and_port(host: str) -> tuple[str, str | None]:
    """Take `shop.example:8000` or `[2001:db8::7]:8000` apart; an IPv6 address has colons of its own."""
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and not host.endswith("]") else (host, None)
