"""Registration of the sandbox with Django."""

from django.apps import AppConfig


class SandboxConfig(AppConfig):
    """The stand-in for GOV.UK Notify, an app of its own: the library doesn't import it, nor it the library."""

    name = "django_govuk_notify_outbox.sandbox"
    label = "govuk_notify_sandbox"
    verbose_name = "GOV.UK Notify sandbox"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system check, and make the default service known."""
        from . import checks  # noqa: F401  imported for its effect
        from .defaults import SERVICE
        from .services import add_service

        add_service(SERVICE)
