"""Prints docs/moving.md from the options of other servers; `make docs` writes it, a test keeps it true."""

from __future__ import annotations

from links import with_links_to_pages
from portico.config.old_words.reading import SERVERS
from portico.config.old_words.word import OldWord, Server

HEAD = """# From gunicorn, uWSGI, waitress or mod_wsgi

Generated from `python/portico/config/old_words` by `make docs`. `portico run` takes the options of these
servers where they mean the same; of any other it says what to do here, or why there is nothing to do, and
does not start:

```console
$ portico run shop.wsgi:application -k gthread --access-logfile - -D
portico: -D of gunicorn: run it under systemd: `portico generate systemd` prints the units
```

`portico shop.wsgi:application` is short for `portico run shop.wsgi:application`. `portico check` says with
the same options whether it would start, and `portico config` what they come to. Everything that is here is in
[settings.md](settings.md).

What is different without any option: there are as many workers as CPUs, with up to 8 threads each
(`-w 1 --threads 1` is one request at a time), the access log is on, idle connections are kept for 15 s, and
request bodies have come before the application is called.

Whether it was worth it, [`portico report`](run/report.md#before-and-after-moving) says from the access logs
of before and after.
"""

SECTIONS = {
    "gunicorn": """
## gunicorn

The second name is that in `gunicorn.conf.py`, where it is another. Such a file is a Python program, and is
not read; what it says goes into [portico.toml](configuration.md). `GUNICORN_CMD_ARGS` is honoured, after
`PORTICO_*` and before `WEB_CONCURRENCY`, with a line in the log.
""",
    "uWSGI": """
## uWSGI

Options of the command line; in an ini file they have the same names. `UWSGI_*` variables are not read. A word
with `*` stands for all that begin so. Two short options are other ones here: `-w` is how many workers there
are, `-b` where to listen.
""",
    "waitress": """
## waitress

Options of `waitress-serve`; as arguments of `waitress.serve` they have `_` for `-`.
""",
    "mod_wsgi": """
## mod_wsgi

portico does not read Apache's configuration; its directives come first below. The `.wsgi` file stays as it
is, and Apache can stay in front, with its TLS, its files and its other sites: [deploy.md](deploy.md). Of

```apache
WSGIDaemonProcess shop processes=2 threads=5 home=/srv/shop python-home=/srv/shop/.venv user=shop
WSGIScriptAlias / /srv/shop/shop.wsgi process-group=shop
```

the first line becomes a service, and the second a reverse proxy's site:

```console
$ cd /srv/shop
$ .venv/bin/portico generate systemd shop.wsgi -b 127.0.0.1:8000 -w 2 --threads 5 --chdir . --user shop
$ .venv/bin/portico generate apache shop.wsgi -b 127.0.0.1:8000 --server-name shop.example
```

The options after them are those of `mod_wsgi-express start-server`.
""",
}


def moving_page() -> str:
    """Return the page as Markdown: a table for each server."""
    return HEAD + "".join(map(_section, SERVERS))


def _section(server: Server) -> str:
    head = f"{SECTIONS[server.name]}\n| {server.name} | here |\n|---|---|\n"
    return head + "".join(f"| {_names(row)} | {with_links_to_pages(row.here())} |\n" for row in server.rows)


def _names(row: OldWord) -> str:
    metavar = f" {row.metavar}" if row.metavar else ""
    words = [f"`{word}`" for word in row.words]
    if words:
        words[-1] = f"`{row.words[-1]}{metavar}`"
    return ", ".join([*words, *(f"`{key}`" for key in row.key.split(", ") if key)])


if __name__ == "__main__":
    print(moving_page(), end="")
