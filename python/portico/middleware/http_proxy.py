"""`HTTPProxyMiddleware`: requests below a prefix are passed on to other servers, others to the application.

The interface is that of Werkzeug's `ProxyMiddleware`, and so is what an option of the same name does. Which
upstream is asked says upstreams.py, how it is asked proxied_exchange.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from portico.middleware.proxied_exchange import AUTO_HOST, Exchange, Failure, ProxiedRequest
from portico.middleware.upstreams import Upstreams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from portico.types import Environ, StartResponse, WSGIApplication

_DEFAULTS: Mapping[str, Any] = {
    "remove_prefix": False,
    "host": AUTO_HOST,
    "headers": {},
    "ssl_context": None,
}


class HTTPProxyMiddleware:
    """Pass requests below a prefix on to other servers.

    `targets` has a mapping of options for each prefix; of several prefixes that match, the first one counts:

    * `target` (required): a URL, or several of which each request gets one: that with the fewest requests in
      flight, in turn where they have equally many. One that cannot be reached is left out for `left_out_s`
      seconds, and the next one is asked in its place, if nothing was sent yet or the request may be repeated
      (GET, HEAD, OPTIONS, TRACE, PUT and DELETE without a body).
    * `remove_prefix` (False): whether the path of the URL takes the prefix's place. Otherwise the path stays
      as it is, and that of the URL does not matter.
    * `host`: the Host header: "<auto>" (the default) for that of the URL, None for the client's, or a text.
    * `headers` ({}): headers to set; they win over the client's.
    * `ssl_context` (None): the `ssl.SSLContext` for https; None verifies certificates as Python does.

    `chunk_size` is how many bytes of a body are read at most before they are passed on; `timeout` is how many
    seconds an upstream may take to be connected, to take bytes or to send some. Bodies are passed on block by
    block in both directions. The client gets a 502 if no upstream can be reached or responds, a 504 if one
    takes too long; what happened is written to `wsgi.errors`.

    Raises ValueError for options that are none.

        HTTPProxyMiddleware(application, {"/api/": {"target": ["http://10.0.0.7/", "http://10.0.0.8/"]}})
    """

    def __init__(
        self,
        app: WSGIApplication,
        targets: Mapping[str, Mapping[str, Any]],
        chunk_size: int = 2 << 13,
        timeout: float = 10,
        *,
        left_out_s: float = 10.0,
    ) -> None:
        self.app = app
        self.targets = {_normal(prefix): _checked(prefix, options) for prefix, options in targets.items()}
        self.chunk_size = chunk_size
        self.timeout = timeout
        self._left_out_s = left_out_s
        self._upstreams: dict[object, Upstreams] = {}
        for options in self.targets.values():
            self._upstreams_of(options)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        for prefix, options in self.targets.items():
            if path.startswith(prefix):
                return self.proxy_to(options, path, prefix)(environ, start_response)
        return self.app(environ, start_response)

    def proxy_to(self, opts: Mapping[str, Any], path: str, prefix: str) -> WSGIApplication:
        """Return an application that passes a request for `path`, below `prefix`, on to a target."""
        upstreams = self._upstreams_of(opts)

        def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            try:
                request = ProxiedRequest(environ, opts, path=path, prefix=prefix, chunk_size=self.chunk_size)
                exchange = _begun(request, upstreams, environ)
            except Failure as failure:
                body = f"{failure.sentence}\n".encode()
                headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
                start_response(failure.status, headers)
                return [body]
            return exchange.start(start_response)

        return application

    def _upstreams_of(self, options: Mapping[str, Any]) -> Upstreams:
        """Return the upstreams of a target; those of equal targets are the same."""
        urls = options["target"]
        urls = (urls,) if isinstance(urls, str) else tuple(urls)
        key = (urls, options["ssl_context"])
        if key not in self._upstreams:
            upstreams = Upstreams(
                urls, timeout_s=self.timeout, ssl_context=options["ssl_context"], left_out_s=self._left_out_s
            )
            return self._upstreams.setdefault(key, upstreams)
        return self._upstreams[key]


def _begun(request: ProxiedRequest, upstreams: Upstreams, environ: Environ) -> Exchange:
    """Return an exchange whose response has begun; raises the Failure of the last upstream that was asked."""
    failure = None
    for upstream in upstreams.in_turn():
        exchange = Exchange(request, upstreams, upstream)
        try:
            exchange.begin()
            return exchange
        except Failure as error:
            failure = error
        if failure.detail:
            environ["wsgi.errors"].write(f"HTTPProxyMiddleware: {failure.detail}\n")
        if failure.is_dead:
            upstreams.leave_out(upstream)
        if not failure.may_repeat:
            break
    assert failure is not None, "a target has at least one upstream"
    raise failure


def _normal(prefix: str) -> str:
    """Return `prefix` with one slash at each end."""
    name = prefix.strip("/")
    return f"/{name}/" if name else "/"


def _checked(prefix: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `options` with the defaults of those that are not there."""
    known = ("target", *_DEFAULTS)
    if not isinstance(options, Mapping) or not options.get("target"):
        raise ValueError(f"targets: expected a target for {prefix!r}, such as http://127.0.0.1:5001/")
    if unknown := [name for name in options if name not in known]:
        raise ValueError(f"targets: expected {', '.join(known)} for {prefix!r}, got {unknown[0]!r}")
    target = options["target"]
    return {**_DEFAULTS, **options, "target": target if isinstance(target, str) else tuple(target)}


ProxyMiddleware = HTTPProxyMiddleware
"""Werkzeug's name."""
