"""The WSGI application: its paths, and what each responds with.

Called on the threads of the admin process. It never waits for the supervisor longer than who asks that for it
(`samples`), and knows nothing of requests to the application that is served.
"""

from __future__ import annotations

from portico.admin import SilentError
from portico.admin.exposition import base_name, exposed, preferred, with_more
from portico.admin.families import FAMILIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from portico.admin import Samples
    from portico.admin.families import Family
    from portico.types import Environ, StartResponse

METRICS = "/metrics"
_PLAIN = "text/plain; charset=utf-8"
_READING = ("GET", "HEAD")


class AdminApplication:
    """Serves what `samples` returns, which raises `SilentError` where nobody tells it.

    `of_application` returns the metrics of the application, and their samples; `of_client` those that are
    already text, but for names that are taken.
    """

    def __init__(
        self,
        samples: Callable[[], Samples],
        of_application: Callable[[], tuple[list[Family], Samples]] = lambda: ([], {}),
        of_client: Callable[[str, Collection[str]], str] = lambda media_type, taken: "",
    ) -> None:
        self._samples = samples
        self._of_application = of_application
        self._of_client = of_client
        # What was written last, by media type, and of which samples: several may ask within their time.
        self._written: tuple[Samples, dict[str, bytes]] = ({}, {})

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != METRICS:
            return _say(start_response, "404 Not Found", f"There is only {METRICS} here.")
        if environ["REQUEST_METHOD"] not in _READING:
            allow = ("Allow", ", ".join(_READING))
            return _say(start_response, "405 Method Not Allowed", "This can only be read.", allow)
        try:
            samples = self._samples()
        except SilentError:
            return _say(start_response, "503 Service Unavailable", "The supervisor does not respond.")
        media_type = preferred(environ.get("HTTP_ACCEPT", ""))
        return _send(
            start_response, "200 OK", media_type, self._text(samples, media_type), ("Vary", "Accept")
        )

    def _text(self, samples: Samples, media_type: str) -> bytes:
        of, written = self._written
        if of is not samples:
            written = {}
            self._written = (samples, written)
        if media_type not in written:
            families, more = self._of_application()
            text = exposed({**more, **samples}, media_type, families)
            taken = {base_name(family) for family in (*FAMILIES, *families)}
            written[media_type] = with_more(text, self._of_client(media_type, taken)).encode()
        return written[media_type]


def _say(
    start_response: StartResponse, status: str, sentence: str, *headers: tuple[str, str]
) -> Iterable[bytes]:
    return _send(start_response, status, _PLAIN, f"{sentence}\n".encode(), *headers)


def _send(
    start_response: StartResponse, status: str, media_type: str, body: bytes, *headers: tuple[str, str]
) -> Iterable[bytes]:
    start_response(
        status,
        [
            ("Content-Type", media_type),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *headers,
        ],
    )
    return [body]
