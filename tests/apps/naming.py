"""An application that names files in headers: which, and in what response, the query says."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import parse_qs

from portico.types import Environ, StartResponse

CLOSED: list[str] = []


class Closing:
    """A body that must not be sent, and that tells when it was closed."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"not ", b"sent"])

    def close(self) -> None:
        CLOSED.append(self.key)


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    query = parse_qs(environ["QUERY_STRING"], encoding="latin-1")
    first = {name: values[0] for name, values in query.items()}
    if environ["PATH_INFO"] == "/closed":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [" ".join(CLOSED).encode()]
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in query.get("h", ()))]
    status = first.get("status", "200 OK")
    kind = first.get("kind", "list")
    if kind == "generator":
        return generated(lambda: start_response(status, headers))
    write = start_response(status, headers)
    if kind == "write":
        write(b"not sent")
    elif kind == "raise":
        raise RuntimeError("on purpose")
    elif kind == "again":
        try:
            raise RuntimeError("on purpose")
        except RuntimeError as error:
            start_response(
                "500 Broken", [("Content-Type", "text/plain")], (type(error), error, error.__traceback__)
            )
            return [b"another"]
    elif kind == "closing":
        return Closing(first["key"])
    elif kind == "wrapper":
        return environ["wsgi.file_wrapper"](io.BytesIO(b"not sent"))  # type: ignore[no-any-return]
    elif kind == "real":
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))  # type: ignore[no-any-return]
    return [b"", b"not sent"] if kind == "two" else [b"not sent"]


def generated(start: Callable[[], object]) -> Iterator[bytes]:
    start()
    yield b"not "
    yield b"sent"
