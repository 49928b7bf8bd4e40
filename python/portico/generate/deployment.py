"""What is asked of `portico generate`: the settings, and what only the other program has to know.

Reads the texts of the command line, which names them with their option when they are no good.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portico.config.addresses import parse_address
from portico.config.kinds import UrlPath
from portico.config.settings import Settings
from portico.config.working_directory import working_directory
from portico.errors import OperatorError, quoted
from portico.generate.command import program, words

_REVERSE_PROXIES = ("nginx", "apache", "haproxy")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}|[0-9]+")
_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._/:@-]*")
_SERVER_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")


@dataclass(frozen=True, slots=True)
class File:
    """A generated file: `name` is how it has to be called, where that matters."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Static:
    """Files that a reverse proxy serves itself: `directory` under `url`, both with a slash at the end."""

    url: str
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What to generate for.

    `name` is that of the service, upstream or image. `command` is the words that make the same file again.
    `listen` is where a reverse proxy listens: a host (empty: all addresses) and a port. `user` is who a
    service runs as, or empty. `program` is how it
    calls portico.
    """

    settings: Settings
    name: str
    command: tuple[str, ...]
    server_names: tuple[str, ...] = ()
    static: tuple[Static, ...] = ()
    listen: tuple[str, int] = ("", 80)
    user: str = ""
    program: tuple[str, ...] = ("portico",)
    image: str = ""


def read_deployment(target: str, settings: Settings, wishes: Mapping[str, Any]) -> Deployment:
    """Return what is asked of `target`.

    `wishes` may have texts for `listen` and `image`, and sequences of texts for `server_name` and `static`.
    Raises OperatorError, naming the option, for one that is no good.
    """
    server_names = tuple(read_server_name(text) for text in wishes.get("server_name") or ())
    static = tuple(read_static(text, settings) for text in wishes.get("static") or ())
    listen = wishes.get("listen") or ""
    own = [
        *(word for text in server_names for word in ("--server-name", text)),
        *(word for part in static for word in ("--static", f"{part.url}={part.directory}")),
        *(word for name in ("listen", "image") if wishes.get(name) for word in (f"--{name}", wishes[name])),
    ]
    # What the application alone is told is nothing for the files of a reverse proxy: it may be secret. Which
    # files the reverse proxy serves, its own option tells.
    without = ("env", "middleware", "static") if target in _REVERSE_PROXIES else ()
    return Deployment(
        settings=settings,
        name=read_name(settings),
        command=("portico", "generate", target, *words(settings, without=without), *own),
        server_names=server_names,
        static=static,
        listen=read_listen(listen) if listen else ("", 80),
        user=read_user(settings),
        program=tuple(program()),
        image=read_image(wishes.get("image") or ""),
    )


def read_name(settings: Settings) -> str:
    """Return the name in the settings, or if it is empty the one that the application's module suggests.

    It has to do as a name for everything: a unit, a host, an image, a label. Raises OperatorError if it does
    not.
    """
    if settings.name:
        if not _NAME.fullmatch(settings.name):
            raise OperatorError(
                f"{settings.origins[Settings.name.attribute]}: expected lower-case letters, digits and "
                f"hyphens, such as shop, for what is generated, got {quoted(settings.name)}"
            )
        return settings.name
    suggested = settings.app.partition(":")[0].partition(".")[0].lower().replace("_", "-").strip("-")
    return suggested if _NAME.fullmatch(suggested) else "portico"


def read_server_name(text: str) -> str:
    """Return the name in `text` by which clients know the server; raises OperatorError if it is none."""
    name = text.strip().lower()
    if not _SERVER_NAME.fullmatch(name):
        raise OperatorError(f"--server-name: expected a host name such as shop.example, got {quoted(text)}")
    return name


def read_static(text: str, settings: Settings) -> Static:
    """Return what `URL=DIR` asks for; a relative DIR starts from the working directory of the application.

    Raises OperatorError if it is not of that form, or if it would hide the application.
    """
    url, equals, directory = text.partition("=")
    try:
        path = UrlPath().parse(url)
    except ValueError:
        path = ""
    if not equals or not path or not directory.strip():
        raise OperatorError(
            f"--static: expected URL=DIR, such as /static/=/srv/shop/static, got {quoted(text)}"
        )
    if not path.strip("/"):
        raise OperatorError(
            f"--static: expected a path below /, got {quoted(text)}, which leaves nothing for the application"
        )
    absolute = os.path.normpath(os.path.join(working_directory(settings), directory))
    if os.path.exists(absolute) and not os.path.isdir(absolute):
        raise OperatorError(f"--static: expected a directory, got {quoted(absolute)}, which is none")
    return Static(path.rstrip("/") + "/", absolute.rstrip("/") + "/")


def read_listen(text: str) -> tuple[str, int]:
    """Return host and port of `PORT` or `HOST:PORT`; without a host, it is empty.

    Raises OperatorError if the text is neither.
    """
    is_port = text.isascii() and text.isdigit()
    try:
        address = parse_address(f":{text}" if is_port else text)
    except ValueError:
        address = None
    if address is None or not address.port or address.scheme != "http":
        raise OperatorError(f"--listen: expected PORT or HOST:PORT, got {quoted(text)}")
    return ("" if is_port or text.startswith(":") else address.host), address.port


def read_user(settings: Settings) -> str:
    """Return who a service runs as: the user of `settings`, or if that is empty one's own.

    Empty for root, who should be nobody.
    """
    text = settings.user
    if not text:
        try:
            return pwd.getpwuid(os.getuid()).pw_name if os.getuid() else ""
        except KeyError:
            return ""
    if not _USER.fullmatch(text):
        raise OperatorError(
            f"{settings.origins[Settings.user.attribute]}: expected the name of a user, such as www-data, "
            f"got {quoted(text)}"
        )
    return text


def read_image(text: str) -> str:
    """Return the name of an image in `text`, which may be empty."""
    if text and not _IMAGE.fullmatch(text):
        raise OperatorError(
            f"--image: expected the name of an image, such as registry.example/shop:1.0, got {quoted(text)}"
        )
    return text
