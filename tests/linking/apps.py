"""The app of a user's."""

from django.apps import AppConfig


class LinkingConfig(AppConfig):
    """Links to emails."""

    name = "tests.linking"
    default_auto_field = "django.db.models.BigAutoField"
