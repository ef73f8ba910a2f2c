"""What ``manage.py check`` says about a project's use of this app: one id per mistake, with what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core import checks
from django.db import DatabaseError, connections, router
from django.urls import URLResolver, get_resolver

from django_govuk_notify_outbox import conf, tasks, views
from django_govuk_notify_outbox.models import EmailMessage, EmailMessageEvent, write_database

_HINTS = {
    conf.API_KEY: "Copy the whole key that GOV.UK Notify showed you, and set it from an environment variable.",
    conf.RETRY_INTERVALS: "For example [5, 10, 60]: three more attempts, 5, 10 and 60 seconds after a failed one.",
    conf.ABANDON_AFTER: "For example 3600: an email not sent within an hour is not sent at all.",
    conf.TIMEOUT: "Leave it out to use 30 seconds, as Notify's Python client does.",
    conf.BASE_URL: "Leave it out to use GOV.UK Notify itself.",
    conf.SYNC_THREADS: "Leave it out to send 10 emails of a backlog at a time.",
    conf.RECEIPT_TOKENS: 'For example os.environ["GOVUK_NOTIFY_RECEIPT_TOKENS"].split(). Leave it out for no receipts.',
}
_IDS = {
    conf.API_KEY: "E002",
    conf.RETRY_INTERVALS: "E003",
    conf.ABANDON_AFTER: "E004",
    conf.TIMEOUT: "E005",
    conf.BASE_URL: "E006",
    conf.SYNC_THREADS: "E009",
    conf.RECEIPT_TOKENS: "E008",
}
_SCHEDULE_HINT = (
    'Add to CELERY_BEAT_SCHEDULE, or to the periodic tasks of django-celery-beat: {"task": '
    '"django_govuk_notify_outbox.tasks.sync", "schedule": 5.0, "options": {"expires": 5.0}}. '
    "Without it nothing is retried, and no email goes beyond sent-to-notify."
)

AppConfigs = Sequence[AppConfig] | None


def register() -> None:
    """Make ``manage.py check`` run these checks."""
    checks.register(check_settings)
    checks.register(check_unknown_settings)
    checks.register(check_celery_app)
    checks.register(check_schedule_in_settings)
    checks.register(check_autocommit)
    checks.register(check_receipts, checks.Tags.urls)
    checks.register(check_schedule_in_database, checks.Tags.database)
    checks.register(check_character_set, checks.Tags.database)


def check_settings(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report settings that are missing or of the wrong shape, all of them at once."""
    found: list[checks.CheckMessage] = []
    if not conf.API_KEY.is_set():
        hint = (
            "Create a key in GOV.UK Notify under API integration, and set it from an environment variable. To develop "
            "without one, run the sandbox: python -m django_govuk_notify_outbox.sandbox"
        )
        found.append(checks.Error(f"{conf.API_KEY.full_name} is not set.", hint=hint, id=_id("E001")))
    for setting, number in _IDS.items():
        problem = setting.problem(setting.raw()) if setting.is_set() else None
        if problem is not None:
            message = f"{setting.full_name} {problem}."
            found.append(checks.Error(message, hint=_HINTS[setting], id=_id(number)))
    return found


def check_unknown_settings(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report names that look like settings of ours and are none: a misspelt one must not become a default quietly."""
    known = ", ".join(setting.full_name for setting in conf.ALL_SETTINGS)
    return [
        checks.Warning(f"{name} is not a setting.", hint=f"The settings are {known}.", id=_id("W001"))
        for name in conf.unknown_names()
    ]


def check_schedule_in_settings(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report that nothing runs ``sync``, as far as can be seen without a database."""
    if tasks.scheduled_in_settings() or apps.is_installed("django_celery_beat"):
        return []
    return [_not_scheduled()]


def check_schedule_in_database(
    app_configs: AppConfigs, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Report that nothing runs ``sync``, with django-celery-beat's table looked at too.

    Like all of Django's checks that ask a database, it runs with ``check --database default`` and with ``migrate``.
    """
    if tasks.scheduled_in_settings() or not apps.is_installed("django_celery_beat"):
        return []
    periodic_task = apps.get_model("django_celery_beat", "PeriodicTask")
    alias = router.db_for_read(periodic_task)
    if alias not in (databases or ()):
        return []
    try:
        scheduled = periodic_task._default_manager.using(alias)  # noqa: SLF001  # the name that Django documents
        is_scheduled = scheduled.filter(task=tasks.sync.name, enabled=True).exists()
    except DatabaseError:
        # The first migrate: the table is not there yet
        return []
    return [] if is_scheduled else [_not_scheduled()]


def check_celery_app(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report that the project's Celery app is not there, so that emails would be pushed to no broker or a wrong one."""
    if not tasks.is_app_missing():
        return []
    hint = "Import it in your project's __init__.py, as Celery's guide for Django says: from .celery import app"
    return [checks.Warning("No Celery app has been made when Django starts.", hint=hint, id=_id("W003"))]


def check_autocommit(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report a database that does not commit by itself: no worker would dare to send from it."""
    database = connections[write_database()]
    if database.settings_dict["AUTOCOMMIT"]:
        return []
    hint = "Leave AUTOCOMMIT out of its settings. Workers commit before they send, or an email could be sent twice."
    return [checks.Error(f'The database "{database.alias}" has AUTOCOMMIT off.', hint=hint, id=_id("E007"))]


def check_character_set(
    app_configs: AppConfigs, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Report a table of MariaDB's or MySQL's that cannot keep every character, such as one in a subject of Notify's."""
    alias = write_database()
    if alias not in (databases or ()) or connections[alias].vendor != "mysql":
        return []
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name IN (%s, %s)"
            " AND character_set_name <> 'utf8mb4'",
            [EmailMessage._meta.db_table, EmailMessageEvent._meta.db_table],  # noqa: SLF001  # a public API of Django's
        )
        (number,) = cursor.fetchone()
    if not number:
        return []
    hint = (
        "Convert the app's tables: ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4. Otherwise an emoji in an email's "
        "subject keeps the email's row from being written when Notify has accepted it."
    )
    return [checks.Warning("The tables of emails are not in utf8mb4.", hint=hint, id=_id("W006"))]


def check_receipts(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """Report delivery receipts that are half set up: an address without a token, or a token without an address."""
    if not conf.has_urls():
        return []
    name, is_on = conf.RECEIPT_TOKENS.full_name, conf.has_receipts()
    has_address = _takes_receipts(get_resolver())
    if has_address and not is_on:
        hint = f"Set {name}, or take django_govuk_notify_outbox.urls out of your urls."
        return [checks.Warning("Delivery receipts have an address and no token.", hint=hint, id=_id("W004"))]
    if is_on and not has_address:
        hint = f"Include django_govuk_notify_outbox.urls in your urls, or take {name} out of your settings."
        return [checks.Warning("Delivery receipts have a token and no address.", hint=hint, id=_id("W005"))]
    return []


def _takes_receipts(resolver: URLResolver) -> bool:
    """Whether one of the addresses, under whatever prefix and namespace, is the one for receipts."""
    return any(
        _takes_receipts(pattern) if isinstance(pattern, URLResolver) else pattern.callback is views.receive
        for pattern in resolver.url_patterns
    )


def _not_scheduled() -> checks.CheckMessage:
    return checks.Warning(
        "The task that retries and follows emails is not scheduled.", hint=_SCHEDULE_HINT, id=_id("W002")
    )


def _id(number: str) -> str:
    return f"django_govuk_notify_outbox.{number}"
