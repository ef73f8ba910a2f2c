"""The admin, and the sandbox where Notify would be."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("django_govuk_notify_outbox.sandbox.urls")),
]
