"""What a worker tells its supervisor, one way, over a pipe of its own: `Ready` or `Failed`.

Frame: one byte of kind, four bytes of length (little endian), then UTF-8 text. No imports: every process
has this module.
"""

from __future__ import annotations


class Ready:
    """The application is loaded and the next step is to serve. `application` is its full name."""

    __slots__ = ("application",)
    kind = b"R"

    def __init__(self, application: str) -> None:
        self.application = application

    @property
    def text(self) -> str:
        return self.application


class Failed:
    """The application could not be loaded. `text` is one sentence, or a traceback of several lines."""

    __slots__ = ("text",)
    kind = b"F"

    def __init__(self, text: str) -> None:
        self.text = text


_KINDS: dict[bytes, type[Ready] | type[Failed]] = {Ready.kind: Ready, Failed.kind: Failed}
_HEAD_BYTES = 5


def encode(message: Ready | Failed) -> bytes:
    """Return the frame of `message`."""
    payload = message.text.encode("utf-8", "backslashreplace")
    return message.kind + len(payload).to_bytes(4, "little") + payload


class Decoder:
    """Frames in, split anywhere; messages out."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Ready | Failed]:
        """Return the messages that are complete with `data`; raises ValueError for an unknown kind."""
        self._buffer += data
        messages: list[Ready | Failed] = []
        while len(self._buffer) >= _HEAD_BYTES:
            end = _HEAD_BYTES + int.from_bytes(self._buffer[1:_HEAD_BYTES], "little")
            if len(self._buffer) < end:
                break
            kind = self._buffer[:1]
            if kind not in _KINDS:
                raise ValueError(f"unknown message kind {kind!r}")
            messages.append(_KINDS[kind](self._buffer[_HEAD_BYTES:end].decode("utf-8")))
            self._buffer = self._buffer[end:]
        return messages
