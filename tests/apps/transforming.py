"""The conformance applications, their bodies in capitals and with an end."""

from __future__ import annotations

from collections.abc import Callable

from portico.middleware.transform import ResponseHead, Transform

from apps import conformance


def _loud(head: ResponseHead) -> Callable[[bytes, bool], bytes]:
    return lambda block, is_last: block.upper() + b"END" * is_last


application = Transform(conformance.application, body=_loud)
