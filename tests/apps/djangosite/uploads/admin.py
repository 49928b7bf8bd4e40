"""Uploads in the admin."""

from django.contrib import admin

from apps.djangosite.uploads.models import Upload

admin.site.register(Upload)
