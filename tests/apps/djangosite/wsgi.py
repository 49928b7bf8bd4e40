"""The application: Django, with the static files of its apps in front."""

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "apps.djangosite.settings")


class _AlwaysStaticFiles(StaticFilesHandler):
    """Serves them although DEBUG is off."""

    def serve(self, request):  # type: ignore[no-untyped-def]
        from django.contrib.staticfiles.views import serve

        return serve(request, self.file_path(request.path), insecure=True)


application = _AlwaysStaticFiles(get_wsgi_application())
