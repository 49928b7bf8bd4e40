"""A small Django project: settings, a site that says how many users there are, and who has served the
request."""

from __future__ import annotations

import threading

from django.http import HttpRequest, JsonResponse
from django.urls import path

SECRET_KEY = "for tests"
ALLOWED_HOSTS = ["localhost"]
ROOT_URLCONF = __name__
STATIC_URL = "/static/"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.staticfiles"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

_barrier = threading.Barrier(3)


def users(request: HttpRequest) -> JsonResponse:
    from django.contrib.auth.models import User

    return JsonResponse({"users": [user.username for user in User.objects.all()]})


def environ(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"is_engine": "portico.disconnected" in request.META})


def meet(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"place": _barrier.wait(10)})


urlpatterns = [path("users/", users), path("environ/", environ), path("meet/", meet)]
