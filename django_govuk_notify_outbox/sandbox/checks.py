"""Keeps the sandbox out of production, where it would swallow emails and show them to anybody."""

from collections.abc import Sequence

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

ALLOWED_WITHOUT_DEBUG = "GOVUK_NOTIFY_SANDBOX_ALLOWED_WITHOUT_DEBUG"


def is_allowed() -> bool:
    """Tell whether the sandbox may answer with the settings as they are."""
    return settings.DEBUG or getattr(settings, ALLOWED_WITHOUT_DEBUG, False) is True


@register()
def check_not_in_production(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Report the sandbox installed where DEBUG is off, unless the settings say that it is meant."""
    if is_allowed():
        return []
    return [
        Error(
            "The GOV.UK Notify sandbox is installed and DEBUG is False. It delivers no email, and shows "
            "all that it was given to anybody who asks.",
            hint=(
                'Remove "django_govuk_notify_outbox.sandbox" from INSTALLED_APPS in production. '
                f"On a test server, set {ALLOWED_WITHOUT_DEBUG} = True."
            ),
            id="govuk_notify_sandbox.E001",
        )
    ]
