"""A change of text made to a change of bytes: in the charset of the response, whatever blocks it comes in.

Receives what a head says of the body; hands on a callable for its blocks, or None where the body is no text.
"""

from __future__ import annotations

import codecs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from portico.middleware.response_head import ResponseHead

    BodyChange: TypeAlias = Callable[[bytes, bool], bytes]
    TextChange: TypeAlias = Callable[[str, bool], str]

_DEFAULT_CHARSET = "utf-8"
_TEXTUAL = frozenset(
    {
        *("application/json", "application/xml", "application/javascript", "application/ecmascript"),
        "application/x-www-form-urlencoded",
    }
)
_TEXTUAL_SUFFIXES = ("+json", "+xml")
_ERRORS = "surrogateescape"
"""Bytes that are no text of the charset come out as they went in."""


def change_of_text(
    head: ResponseHead, change_of: Callable[[ResponseHead], TextChange | None]
) -> BodyChange | None:
    """Return the change of bytes that makes the change of text that `change_of(head)` returns."""
    charset = _charset(head.get("Content-Type") or "")
    if charset is None or (head.get("Content-Encoding") or "identity").strip().lower() != "identity":
        return None
    change = change_of(head)
    if change is None:
        return None
    decoder = codecs.getincrementaldecoder(charset)(_ERRORS)
    encoder = codecs.getincrementalencoder(charset)(_ERRORS)

    def changed(block: bytes, is_last: bool) -> bytes:
        text = decoder.decode(block, is_last)
        # Half a character is nothing yet.
        return encoder.encode(change(text, is_last), is_last) if text or is_last else b""

    return changed


def _charset(content_type: str) -> str | None:
    """Return the charset of text of this type; None if it is no text, or text that Python cannot read."""
    media_type, *parameters = (part.strip() for part in content_type.split(";"))
    media_type = media_type.lower()
    if not (
        media_type.startswith("text/") or media_type in _TEXTUAL or media_type.endswith(_TEXTUAL_SUFFIXES)
    ):
        return None
    pairs = [parameter.partition("=") for parameter in parameters]
    given = [value.strip(" \t\"'") for name, _, value in pairs if name.strip().lower() == "charset"]
    charset = given[0] if given else _DEFAULT_CHARSET
    try:
        # Raises it also for codecs that are of no text (base64), or of one that has to be right (idna).
        "".encode(charset, _ERRORS)
        codecs.getincrementaldecoder(charset)(_ERRORS).decode(b"")
    except (LookupError, ValueError):
        return None
    return charset
