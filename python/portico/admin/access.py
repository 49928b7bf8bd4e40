"""Who may read what at the admin address.

metrics     whoever can connect, as they are counts; with a token, whoever has that
dashboard   who has the token; without one, at an address that nobody else reaches: a Unix socket has its
            mode, and at a loopback address a request has to name the machine itself, since a page of others
            may have its name lead there (DNS rebinding)

A token is sent as `Authorization: Bearer`; by browsers as a cookie, which `/?token=` is turned into. It is
asked for over TCP alone.
"""

from __future__ import annotations

# What `hmac.compare_digest` is, without the megabytes of OpenSSL.
from _operator import _compare_digest

from portico.admin.loopback import is_loopback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.types import Environ

COOKIE = "portico_admin"
LEAST_TOKEN_CHARACTERS = 16
MOST_TOKEN_CHARACTERS = 256
_NOT_IN_COOKIES = '",;\\'


class Rejection:
    """Why something is not shown: a status, and a sentence for people."""

    __slots__ = ("sentence", "status")

    def __init__(self, status: str, sentence: str) -> None:
        self.status = status
        self.sentence = sentence


_NEEDS_TOKEN = Rejection(
    "401 Unauthorized",
    "This needs the admin token: as `Authorization: Bearer TOKEN`, or once as /?token=TOKEN in a browser.",
)
_IS_EXPOSED = Rejection(
    "403 Forbidden",
    "The dashboard is not shown without a token at an address that other machines reach: set "
    "admin_token_file, or bind to a loopback address or a Unix socket.",
)
_OTHER_NAME = Rejection(
    "403 Forbidden",
    "Without a token the dashboard is shown to those who name this machine itself: localhost, 127.0.0.1 or "
    "[::1].",
)
_FROM_ELSEWHERE = Rejection("403 Forbidden", "This is not shown within the pages of others.")


class Access:
    """The rules of one admin address.

    `is_unix` and `is_exposed` are what the address is: a Unix socket; one that other machines reach. `token`
    is empty where there is none.
    """

    __slots__ = ("_is_exposed", "_is_unix", "_token")

    def __init__(self, *, is_unix: bool = False, is_exposed: bool = False, token: str = "") -> None:
        self._is_unix = is_unix
        self._is_exposed = is_exposed
        self._token = "" if is_unix else token

    def to_metrics(self, environ: Environ) -> Rejection | None:
        """Return why this request may not read metrics; None if it may."""
        return _NEEDS_TOKEN if self._token and not self._has_token(environ) else None

    def to_dashboard(self, environ: Environ) -> Rejection | None:
        """Return why this request may not see the dashboard; None if it may."""
        is_elsewhere = environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin")
        # A link may lead to the page; nothing of it may be a part of another.
        is_link = environ.get("HTTP_SEC_FETCH_DEST") == "document" and environ.get("PATH_INFO") == "/"
        if is_elsewhere and not is_link:
            return _FROM_ELSEWHERE
        if self._is_unix:
            return None
        if self._token:
            return None if self._has_token(environ) else _NEEDS_TOKEN
        if self._is_exposed:
            return _IS_EXPOSED
        return None if _names_this_machine(environ.get("HTTP_HOST", "")) else _OTHER_NAME

    def is_token(self, text: str) -> bool:
        """Say whether `text` is the token, in a time that tells nothing of it."""
        return bool(self._token) and _compare_digest(text.encode("utf-8", "replace"), self._token.encode())

    def _has_token(self, environ: Environ) -> bool:
        scheme, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(credentials.strip()):
            return True
        return any(
            self.is_token(value)
            for name, _, value in (
                each.strip().partition("=") for each in environ.get("HTTP_COOKIE", "").split(";")
            )
            if name == COOKIE
        )


def read_token(path: str) -> str:
    """Return the token in the file at `path`. Raises OSError, or ValueError with what was expected."""
    with open(path, encoding="utf-8", errors="replace") as file:
        token = file.read(4 * MOST_TOKEN_CHARACTERS).strip()
    if not LEAST_TOKEN_CHARACTERS <= len(token) <= MOST_TOKEN_CHARACTERS or not all(
        "!" <= character <= "~" and character not in _NOT_IN_COOKIES for character in token
    ):
        raise ValueError(
            f"expected {LEAST_TOKEN_CHARACTERS} to {MOST_TOKEN_CHARACTERS} visible ASCII characters other "
            f"than {' '.join(_NOT_IN_COOKIES)}, in one line"
        )
    return token


def _names_this_machine(host: str) -> bool:
    """Say whether a Host header (RFC 9110 7.2) is one of this machine alone."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit():
        name = host
    return is_loopback(name)
