"""The app's registration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DjangoGovukNotifyOutboxConfig(AppConfig):
    """Emails sent through GOV.UK Notify."""

    name = "django_govuk_notify_outbox"
    label = "django_govuk_notify_outbox"
    verbose_name = _("GOV.UK Notify outbox")
    # Fixed, so that a project's DEFAULT_AUTO_FIELD never asks for a migration in this app
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        from django_govuk_notify_outbox import checks

        checks.register()
