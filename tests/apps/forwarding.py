"""A proxy: `HTTPProxyMiddleware` with the targets that `$TARGETS` has as JSON."""

from __future__ import annotations

import json
import os
from typing import Any

from portico.middleware.http_proxy import HTTPProxyMiddleware

from apps import conformance

options: dict[str, Any] = json.loads(os.environ.get("OPTIONS", "{}"))
application = HTTPProxyMiddleware(conformance.application, json.loads(os.environ["TARGETS"]), **options)
