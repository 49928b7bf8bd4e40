"""A guest book without any framework: a page, a form, a stream; entries live in a SQLite file.

`portico run guestbook` in this folder, then open the printed address. The file is `$GUESTBOOK`, or
`guestbook.sqlite3` in the folder for temporary files, so that all workers share it.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

DATABASE = os.environ.get("GUESTBOOK", str(Path(tempfile.gettempdir()) / "guestbook.sqlite3"))
MAX_FORM_BYTES = 10_000
MAX_ENTRIES = 100

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Guest book</title>
<style>
  body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 36rem; margin: 2rem auto; padding: 0 1rem }}
  form {{ display: grid; gap: .6rem; margin: 1.5rem 0 }}
  input, textarea, button {{ font: inherit; padding: .5rem }}
  li {{ margin: .8rem 0 }}
</style>
<h1>Guest book</h1>
<form method="post" action="/">
  <input name="name" placeholder="Your name" maxlength="60" required>
  <textarea name="message" placeholder="Say hello" maxlength="500" required></textarea>
  <button>Sign</button>
</form>
<ul>{entries}</ul>
<p><a href="/entries.txt">All entries as text</a></p>
</html>
"""


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Route by method and path."""
    page = ROUTES.get((environ["REQUEST_METHOD"].replace("HEAD", "GET"), environ["PATH_INFO"]))
    if page is None:
        return _text(start_response, "404 Not Found", "There is no such page.")
    return page(environ, start_response)


def show(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """The page with the newest entries."""
    with closing(_connect()) as database:
        rows = database.execute("SELECT name, message FROM entry ORDER BY id DESC LIMIT ?", (MAX_ENTRIES,))
        entries = "".join(f"<li><b>{escape(name)}</b>: {escape(message)}</li>" for name, message in rows)
    body = PAGE.format(entries=entries).encode()
    start_response(
        "200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
    )
    return [body]


def sign(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """Take the form, and send the browser back to the page."""
    body = environ["wsgi.input"].read(MAX_FORM_BYTES + 1)
    if len(body) > MAX_FORM_BYTES:
        return _text(start_response, "413 Content Too Large", "That is too much to write.")
    form = parse_qs(body.decode("utf-8", "replace"))
    name, message = (form.get(field, [""])[0].strip() for field in ("name", "message"))
    if not name or not message:
        return _text(start_response, "400 Bad Request", "Both a name and a message are needed.")
    with closing(_connect()) as database, database:
        database.execute("INSERT INTO entry (name, message) VALUES (?, ?)", (name[:60], message[:500]))
    start_response("303 See Other", [("Location", "/"), ("Content-Length", "0")])
    return []


def entries(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """Every entry, streamed as it is read."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    with closing(_connect()) as database:
        for name, message in database.execute("SELECT name, message FROM entry ORDER BY id"):
            yield f"{name}: {message}\n".encode()


ROUTES: dict[tuple[str, str], Callable[[Environ, StartResponse], Iterable[bytes]]] = {
    ("GET", "/"): show,
    ("POST", "/"): sign,
    ("GET", "/entries.txt"): entries,
}


def _connect() -> sqlite3.Connection:
    database = sqlite3.connect(DATABASE)
    database.execute(
        "CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, name TEXT NOT NULL, message TEXT NOT NULL)"
    )
    return database


def _text(start_response: StartResponse, status: str, text: str) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode()]
