"""A Django application with ETags: a page, a stream, a file, and a page that it compresses itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.gzip import gzip_page

PAGE = "".join(f"<p>line {number * 7919 % 1009} of a page</p>\n" for number in range(2000))
LINES = 100


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def lines() -> Iterator[str]:
        for number in range(LINES):
            yield f"line {number} of a stream\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(open(logging.__file__, "rb"), content_type="text/x-python")


settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.middleware.http.ConditionalGetMiddleware",
        "django.middleware.common.CommonMiddleware",
    ],
)
urlpatterns = [
    path("page", page),
    path("stream", stream),
    path("file", file),
    path("compressed", gzip_page(page)),
]
application = get_wsgi_application()
