"""Django's patterns of URLs, told to the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from portico.frameworks import ROUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse


class TellRoute:
    """A middleware of Django's that says by which pattern the URL of each request was found.

    MIDDLEWARE = [..., "portico.frameworks.django.TellRoute"]

    The text is that of `request.resolver_match.route`, with a `/` before it: `/order/<int:number>`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Leave the pattern in the environ, once it is known and before the view is called."""
        if request.resolver_match is not None:
            request.META[ROUTE] = "/" + request.resolver_match.route
