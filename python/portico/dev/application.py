"""The application as `portico dev` calls it: with a page where a call raises, and a look at what it imports.

Stands in a worker between the engine and the application, and is the application to everybody else: the
iterable that is returned is the application's own.
"""

from __future__ import annotations

from portico import _core, log
from portico.process.tracebacks import traceback_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portico.dev.modules import Reporter
    from portico.types import Environ, StartResponse, WSGIApplication


class DevelopmentApplication:
    """`application`, called `name`. `shows_locals`: pages have the variables of each frame."""

    def __init__(
        self, application: WSGIApplication, name: str, reporter: Reporter, *, shows_locals: bool
    ) -> None:
        self._application = application
        self._name = name
        self._reporter = reporter
        self._shows_locals = shows_locals

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return self._application(environ, start_response)
        except _core.RequestBodyError:
            raise  # the client's doing, for which the engine has a response
        except Exception as error:
            return self._show(error, environ, start_response)
        finally:
            self._reporter.report_more()

    def _show(self, error: Exception, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        # Here and not above: an application that does not raise needs none of it.
        from portico.dev.error_page import page_of_exception

        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        # Escaped, so that no client can forge a line of the log.
        request = f"{environ['REQUEST_METHOD']} {path.encode('unicode_escape').decode('ascii')}"
        page = page_of_exception(f"{self._name} failed at {request}", error, shows_locals=self._shows_locals)
        # Raises `error` where the response has begun to leave: then the engine says so.
        blocks = page(environ, start_response, (type(error), error, error.__traceback__))
        log.error(f"the application {self._name} failed at {request}\n{traceback_of(error)}")
        return blocks
