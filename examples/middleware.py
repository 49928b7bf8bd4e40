"""Middleware around two small applications: portico run middleware

/           a page
/api/...    another application, below its own path
/source/... the files of this folder, with ranges and ETags

Mistakes against WSGI are warned of in the error log (PYTHONWARNINGS=always shows each).
"""

from pathlib import Path

from portico.middleware import DispatcherMiddleware, Lint, SharedDataMiddleware

PAGE = b"""<!doctype html><title>Middleware</title>
<p><a href="/api/users">an application at /api</a>, <a href="/source/middleware.py">the source of this one</a>
"""


def page(environ, start_response):
    start_response(
        "200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(PAGE)))]
    )
    return [PAGE]


def api(environ, start_response):
    text = f"mounted at {environ['SCRIPT_NAME']}, asked for {environ['PATH_INFO']}\n".encode("latin-1")
    start_response(
        "200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))]
    )
    return [text]


application = DispatcherMiddleware(page, {"/api": api})
application = SharedDataMiddleware(application, {"/source": Path(__file__).parent}, disallow=["*.pyc"])
application = Lint(application)
