"""Which responses are compressed on their way out, and how; and the pages of the server's own."""

from __future__ import annotations

from portico.config.kinds import ContentCoding, ErrorPageFile, MediaType, Size, WholeNumber
from portico.config.setting import Group, ManySetting, Setting
from portico.config.values import Values

_COMPRESSION = Group("compression", "compression")
_ERROR_PAGES = Group("error pages", "error_pages")


class CompressionSettings(Values):
    """The rows of the group `compression`."""

    __slots__ = ()

    compress = ManySetting(
        "compress",
        ContentCoding(),
        (),
        separator=",",
        group=_COMPRESSION,
        documentation="Compress responses in one of these codings, the one that the client likes best, or "
        "else the first; `none`, the default, compresses nothing. May be repeated. What is compressed, and "
        "what not: docs/compression.md.",
    )
    compress_types = ManySetting(
        "compress_types",
        MediaType(),
        (
            "text/*",
            "application/json",
            "application/*+json",
            "application/javascript",
            "application/xml",
            "application/*+xml",
            "application/wasm",
            "image/svg+xml",
        ),
        separator=",",
        group=_COMPRESSION,
        documentation="The media types of responses that are compressed; a `*` stands for anything, but "
        "for text/event-stream, which has to be named. May be repeated; what is given replaces the default.",
    )
    compress_min_bytes = Setting(
        "compress_min_size",
        Size(64),
        1024,
        group=_COMPRESSION,
        documentation="Shorter responses are not compressed, where the length is known beforehand.",
    )
    compress_level = Setting(
        "compress_level",
        WholeNumber(1, 9),
        4,
        group=_COMPRESSION,
        documentation="How well responses are compressed: 1 is the quickest, 9 takes the most CPU for the "
        "fewest bytes. `br` goes up to 5, which 6 to 9 are the same as.",
    )


class ErrorPageSettings(Values):
    """The row of the group `error pages`."""

    __slots__ = ()

    error_pages = ManySetting(
        "error_page",
        ErrorPageFile(),
        (),
        separator=",",
        group=_ERROR_PAGES,
        key="error_pages",
        documentation="A file that is the body of what the server responds with itself: for one status, or "
        "for all that begin alike, as in `5xx=errors/500.html`. May be repeated. More: docs/error-pages.md.",
    )
