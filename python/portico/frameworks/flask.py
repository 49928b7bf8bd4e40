"""Flask's rules of URLs, told to the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request

from portico.frameworks import ROUTE

if TYPE_CHECKING:
    from flask import Flask


def tell_route(app: Flask) -> None:
    """Have each request of `app` say by which rule its URL was found, such as `/order/<int:number>`.

    from portico.frameworks.flask import tell_route

    app = Flask(__name__)
    tell_route(app)
    """
    app.before_request(_tell)


def _tell() -> None:
    if request.url_rule is not None:
        request.environ[ROUTE] = request.url_rule.rule
