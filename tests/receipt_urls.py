"""The address for delivery receipts, as a project includes it."""

from django.urls import include, path

urlpatterns = [path("notify/", include("django_govuk_notify_outbox.urls"))]
