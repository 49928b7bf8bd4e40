"""The pages of the Django test project."""

from django.contrib import admin
from django.urls import path

from apps.djangosite.uploads import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("hello/<str:name>/", views.hello),
    path("uploads/", views.uploads),
    path("uploads/<int:number>/", views.download),
    path("stream/", views.stream),
    path("broken/", views.broken),
]
