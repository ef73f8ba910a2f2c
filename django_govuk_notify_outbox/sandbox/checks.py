"""Keeps the sandbox out of production, where it would swallow emails and show them to anybody; checks its settings."""

from collections.abc import Sequence

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register

from . import conf
from .conf import ALLOWED_WITHOUT_DEBUG, is_allowed


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


@register()
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Report every mistake in the sandbox's settings."""
    return [
        *(
            Error(
                f"{conf.TEMPLATES} has a mistake: {mistake}",
                hint='An example: {"0f6d2f5e-…": {"name": "Receipt", "subject": "Your receipt", "body": "((total))"}}.',
                id="govuk_notify_sandbox.E002",
            )
            for mistake in conf.mistakes_in_templates()
        ),
        *(
            Error(f"{name} is not a whole number in its range.", id="govuk_notify_sandbox.E003")
            for name in conf.mistakes_in_numbers()
        ),
        *(
            Error(f"{name} is no setting of the sandbox.", hint="Is it misspelt?", id="govuk_notify_sandbox.E004")
            for name in conf.unknown_settings()
        ),
    ]
