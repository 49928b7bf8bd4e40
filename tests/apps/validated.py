"""The valid applications, each wrapped in `wsgiref.validate.validator`: a free oracle for both sides."""

from __future__ import annotations

from typing import Any
from wsgiref.validate import validator

from apps.conformance import VALID, not_found, route

VALIDATED = {name: validator(application) for name, application in VALID.items()}


def application(environ: dict[str, Any], start_response: Any) -> Any:
    target = route(VALIDATED, environ)
    assert target is not not_found, environ["PATH_INFO"]
    return target(environ, start_response)
