"""A Django application that tells how it sees the requests that come through a reverse proxy."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.urls import path

from apps import behind_proxy


def seen(request: HttpRequest, rest: str) -> JsonResponse:
    return JsonResponse(
        {
            "method": request.method,
            "path": request.path,
            "query": request.META["QUERY_STRING"],
            "arguments": {name: request.GET.getlist(name) for name in request.GET},
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "cookies": request.COOKIES,
            "form": {name: request.POST.getlist(name) for name in request.POST},
            "scheme": request.scheme,
            "host": request.get_host(),
            "url": request.build_absolute_uri(),
            "remote_addr": request.META.get("REMOTE_ADDR"),
            "mount": request.META["SCRIPT_NAME"],
        }
    )


def digest(request: HttpRequest) -> JsonResponse:
    return JsonResponse(behind_proxy.digest(request))


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return _streamed(behind_proxy.stream())


def gated_stream(request: HttpRequest) -> StreamingHttpResponse:
    return _streamed(behind_proxy.gated_stream(request.GET["key"]))


def endless_stream(request: HttpRequest) -> StreamingHttpResponse:
    return _streamed(behind_proxy.endless_stream(request.GET["key"]))


def aborted_stream(request: HttpRequest) -> StreamingHttpResponse:
    return _streamed(behind_proxy.aborted_stream(request.GET["key"]))


def relative(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect("/seen/elsewhere?a=1")


def absolute(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(request.build_absolute_uri("/seen/elsewhere"))


def cookies(request: HttpRequest) -> HttpResponse:
    response = JsonResponse(request.COOKIES)
    for name, value in behind_proxy.COOKIES.items():
        response.set_cookie(name, value, max_age=60, httponly=True)
    return response


def large_headers(request: HttpRequest) -> HttpResponse:
    return HttpResponse("large", headers=behind_proxy.LARGE_HEADERS)


def wait(request: HttpRequest) -> HttpResponse:
    return HttpResponse(behind_proxy.wait(request.GET["key"], request.META["portico.disconnected"]))


def wait_at(request: HttpRequest, rest: str) -> JsonResponse:
    wait(request)
    return seen(request, rest)


def own_error(request: HttpRequest, status: int) -> HttpResponse:
    behind_proxy.enter(request.GET["key"])
    return HttpResponse("the application's own", status=status)


def number(request: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(behind_proxy.number(number, int(request.GET.get("pause_ms", 0))))


def _streamed(blocks: Iterable[bytes]) -> StreamingHttpResponse:
    """A response of unknown length, which nginx is not to hold back."""
    return StreamingHttpResponse(blocks, content_type="text/plain", headers={"X-Accel-Buffering": "no"})


urlpatterns = [
    path("seen/<path:rest>", seen),
    path("digest", digest),
    path("stream", stream),
    path("gated-stream", gated_stream),
    path("endless-stream", endless_stream),
    path("aborted-stream", aborted_stream),
    path("redirect", relative),
    path("redirect-absolute", absolute),
    path("cookies", cookies),
    path("large-headers", large_headers),
    path("wait", wait),
    path("wait-at/<path:rest>", wait_at),
    path("own-error/<int:status>", own_error),
    path("number/<int:number>", number),
]

settings.configure(
    DEBUG=False,
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
)
application = get_wsgi_application()
