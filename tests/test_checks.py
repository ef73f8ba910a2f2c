"""``manage.py check`` says what is wrong with a project, all of it at once, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

import celery.schedules
import pytest
from celery import Celery
from celery.beat import ScheduleEntry
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection
from django.test import modify_settings
from django.urls import include, path
from pytest_django import Settings

from django_govuk_notify_outbox import checks, conf, views
from django_govuk_notify_outbox.models import EmailMessage
from django_govuk_notify_outbox.sandbox import defaults
from tests.celery_app import app

PREFIX = "DJANGO_GOVUK_NOTIFY_OUTBOX__"
KEY = defaults.API_KEY


def ids(settings: Settings, values: dict[str, Any]) -> list[str]:
    for name, value in values.items():
        setattr(settings, PREFIX + name, value)
    found = [*checks.check_settings(None), *checks.check_unknown_settings(None)]
    for message in found:
        assert message.hint
    return [(message.id or "").rpartition(".")[2] for message in found]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"API_KEY": None}, ["E001"]),
        ({"API_KEY": ""}, ["E002"]),
        ({"API_KEY": 5}, ["E002"]),
        ({"API_KEY": "name-" + KEY[-36:]}, ["E002"]),
        ({"API_KEY": KEY + "\n"}, ["E002"]),
        ({"API_KEY": KEY + " "}, ["E002"]),
        ({"API_KEY": KEY[-73:]}, []),
        ({"API_KEY": "a name with-hyphens-" + KEY[-73:]}, []),
        ({"SEND_TO_NOTIFY_RETRY_INTERVALS": []}, []),
        ({"SEND_TO_NOTIFY_RETRY_INTERVALS": (1, 2.5, 0)}, []),
        ({"SEND_TO_NOTIFY_RETRY_INTERVALS": 5}, ["E003"]),
        ({"SEND_TO_NOTIFY_RETRY_INTERVALS": "5, 10"}, ["E003"]),
        ({"SEND_TO_NOTIFY_RETRY_INTERVALS": [5, -1]}, ["E003"]),
        ({"SEND_TO_NOTIFY_RETRY_INTERVALS": [5, "10"]}, ["E003"]),
        ({"SEND_TO_NOTIFY_RETRY_INTERVALS": [True]}, ["E003"]),
        ({"SEND_TO_NOTIFY_RETRY_INTERVALS": [float("nan")]}, ["E003"]),
        ({"SEND_TO_NOTIFY_ABANDON_AFTER": 0.5}, []),
        ({"SEND_TO_NOTIFY_ABANDON_AFTER": 0}, ["E004"]),
        ({"SEND_TO_NOTIFY_ABANDON_AFTER": "3600"}, ["E004"]),
        ({"SEND_TO_NOTIFY_ABANDON_AFTER": float("inf")}, ["E004"]),
        ({"SEND_TO_NOTIFY_ABANDON_AFTER": 1e300}, ["E004"]),
        ({"TIMEOUT": -1}, ["E005"]),
        ({"TIMEOUT": (3, 30)}, ["E005"]),
        ({"BASE_URL": "http://localhost:8020"}, []),
        ({"BASE_URL": "localhost:8020"}, ["E006"]),
        ({"BASE_URL": "https://"}, ["E006"]),
        ({"BASE_URL": "https://[oops"}, ["E006"]),
        ({"BASE_URL": 5}, ["E006"]),
        ({"BASE_URL": b"https://example.com"}, ["E006"]),
        ({"RECEIPT_TOKENS": None}, []),
        ({"RECEIPT_TOKENS": []}, []),
        ({"RECEIPT_TOKENS": ()}, []),
        ({"RECEIPT_TOKENS": ["ten-letters"]}, []),
        ({"RECEIPT_TOKENS": ("0123456789", "correct horse: battery")}, []),
        ({"RECEIPT_TOKENS": "0123456789"}, ["E008"]),
        ({"RECEIPT_TOKENS": b"0123456789"}, ["E008"]),
        ({"RECEIPT_TOKENS": {"0123456789": 1}}, ["E008"]),
        ({"RECEIPT_TOKENS": [None]}, ["E008"]),
        ({"RECEIPT_TOKENS": [""]}, ["E008"]),
        ({"RECEIPT_TOKENS": ["012345678"]}, ["E008"]),
        ({"RECEIPT_TOKENS": ["0123456789\n"]}, ["E008"]),
        ({"RECEIPT_TOKENS": ["0123456789", " 0123456789"]}, ["E008"]),
        ({"RECEIPT_TOKENS": ["01234\n56789"]}, ["E008"]),
        ({"RECEIPT_TOKENS": ["0123456789é"]}, ["E008"]),
        ({"ABANDON_AFTER": 5}, ["W001"]),
        (
            {"API_KEY": "x", "TIMEOUT": 0, "BASE_URL": "x", "TIME_OUT": 1, "SEND_TO_NOTIFY_ABANDON_AFTER": None},
            ["E002", "E005", "E006", "W001"],
        ),
    ],
    ids=str,
)
def test_each_mistake_has_an_id_and_a_hint_and_all_are_told_at_once(
    settings: Settings, values: dict[str, Any], expected: list[str]
) -> None:
    assert ids(settings, values) == expected


def test_the_command_reports_them_without_quoting_the_key(settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__API_KEY = "my-secret-key"
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__TIMEOUTS = 3
    with pytest.raises(SystemCheckError) as raised:
        call_command("check")
    told = str(raised.value)
    assert "django_govuk_notify_outbox.E002" in told
    assert "DJANGO_GOVUK_NOTIFY_OUTBOX__TIMEOUTS is not a setting." in told
    assert "my-secret-key" not in told


def test_a_wrong_setting_that_is_used_all_the_same_says_which(settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__TIMEOUT = 0
    with pytest.raises(ImproperlyConfigured, match=r"^DJANGO_GOVUK_NOTIFY_OUTBOX__TIMEOUT must be a number of seconds"):
        conf.timeout()


def test_defaults_are_those_of_the_documentation(settings: Settings) -> None:
    settings.DJANGO_GOVUK_NOTIFY_OUTBOX__BASE_URL = None
    assert conf.base_url() == "https://api.notifications.service.gov.uk"
    assert conf.timeout() == 30
    assert conf.abandon_after() == 3600
    assert [conf.retry_interval(attempt) for attempt in range(1, 10)] == [5, 10, 60, 120, 240, 480, 960, 1920, None]


def test_a_project_whose_celery_app_is_not_imported_is_told() -> None:
    assert checks.check_celery_app(None) == []
    try:
        Celery("default").set_current()
        assert [message.id for message in checks.check_celery_app(None)] == ["django_govuk_notify_outbox.W003"]
    finally:
        app.set_current()


class TestSchedule:
    """That nothing runs ``sync`` is noticed, wherever beat keeps its schedule."""

    @pytest.fixture(autouse=True)
    def _unscheduled(self, settings: Settings) -> Iterator[None]:
        del settings.CELERY_BEAT_SCHEDULE
        yield
        app.conf.beat_schedule = {}

    def all_messages(self) -> list[str | None]:
        in_settings = checks.check_schedule_in_settings(None)
        in_database = checks.check_schedule_in_database(None, databases=["default"])
        return [message.id for message in [*in_settings, *in_database]]

    @pytest.mark.django_db
    def test_nowhere_is_a_warning(self) -> None:
        assert self.all_messages() == ["django_govuk_notify_outbox.W002"]

    @pytest.mark.django_db
    def test_nowhere_without_django_celery_beat_is_one_too(self) -> None:
        with modify_settings(INSTALLED_APPS={"remove": "django_celery_beat"}):
            assert self.all_messages() == ["django_govuk_notify_outbox.W002"]

    @pytest.mark.django_db
    def test_in_djangos_settings_is_fine(self, settings: Settings) -> None:
        settings.CELERY_BEAT_SCHEDULE = {"x": {"task": "django_govuk_notify_outbox.tasks.sync", "schedule": 5}}
        assert self.all_messages() == []

    @pytest.mark.django_db
    def test_in_celerys_own_settings_is_fine(self) -> None:
        app.conf.beat_schedule = {"x": {"task": "django_govuk_notify_outbox.tasks.sync", "schedule": 5}}
        assert self.all_messages() == []

    @pytest.mark.django_db
    def test_one_of_celerys_own_entries_is_fine(self, settings: Settings) -> None:
        entry = ScheduleEntry(
            name="x", task="django_govuk_notify_outbox.tasks.sync", schedule=celery.schedules.schedule(5), app=app
        )
        settings.CELERY_BEAT_SCHEDULE = {"x": entry}
        assert self.all_messages() == []

    @pytest.mark.django_db
    @pytest.mark.parametrize("schedule", ["nonsense", ["x"], {"x": object()}, {"x": {}}, None])
    def test_one_that_cannot_be_read_stops_no_command(self, settings: Settings, schedule: object) -> None:
        settings.CELERY_BEAT_SCHEDULE = schedule
        assert self.all_messages() == ["django_govuk_notify_outbox.W002"]

    @pytest.mark.django_db
    @pytest.mark.parametrize(("enabled", "expected"), [(True, []), (False, ["django_govuk_notify_outbox.W002"])])
    def test_in_the_table_of_django_celery_beat_counts_if_enabled(self, enabled: bool, expected: list[str]) -> None:
        from django_celery_beat.models import IntervalSchedule, PeriodicTask

        interval = IntervalSchedule.objects.create(every=5, period=IntervalSchedule.SECONDS)
        PeriodicTask.objects.create(
            name="x", task="django_govuk_notify_outbox.tasks.sync", interval=interval, enabled=enabled
        )
        assert self.all_messages() == expected

    def test_a_database_is_not_asked_unless_the_command_is_told_to(self) -> None:
        assert checks.check_schedule_in_database(None, databases=None) == []

    @pytest.mark.django_db(transaction=True)
    def test_a_table_that_is_not_there_yet_is_no_mistake(self) -> None:
        from django_celery_beat.models import PeriodicTask

        with connection.schema_editor() as editor:
            editor.alter_db_table(PeriodicTask, PeriodicTask._meta.db_table, "elsewhere")
        try:
            assert checks.check_schedule_in_database(None, databases=["default"]) == []
        finally:
            with connection.schema_editor() as editor:
                editor.alter_db_table(PeriodicTask, "elsewhere", PeriodicTask._meta.db_table)


def test_a_database_without_autocommit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_autocommit(None) == []
    monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", False)
    [message] = checks.check_autocommit(None)
    assert (message.id, message.msg) == (
        "django_govuk_notify_outbox.E007",
        'The database "default" has AUTOCOMMIT off.',
    )


class TestReceipts:
    """That receipts are half set up is noticed, wherever their address is."""

    def messages(self, settings: Settings, *patterns: Any, tokens: object = ()) -> list[str | None]:
        urls = ModuleType("urls_of_this_test")
        urls.urlpatterns = list(patterns)  # type: ignore[attr-defined]
        settings.ROOT_URLCONF = urls
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS = tokens
        found = checks.check_receipts(None)
        for message in found:
            assert message.hint
        return [message.id for message in found]

    @pytest.mark.parametrize(
        "address",
        [
            path("notify/", include("django_govuk_notify_outbox.urls")),
            path("<slug:tenant>/", include("django_govuk_notify_outbox.urls", namespace="notify")),
            path("a/", include([path("b/", include(("django_govuk_notify_outbox.urls", "x")))])),
            path("receipts", views.receive),
        ],
        ids=["included", "in a namespace of its own", "nested", "by itself"],
    )
    def test_an_address_and_a_token_belong_together(self, settings: Settings, address: Any) -> None:
        tokens = ["0123456789"]
        other = path("elsewhere/", include("tests.urls"))
        assert self.messages(settings, other, address, tokens=tokens) == []
        assert self.messages(settings, other) == []
        assert self.messages(settings, other, address) == ["django_govuk_notify_outbox.W004"]
        assert self.messages(settings, other, tokens=tokens) == ["django_govuk_notify_outbox.W005"]

    @pytest.mark.parametrize("tokens", [(), ["0123456789"]])
    def test_a_project_without_pages_is_not_told(self, settings: Settings, tokens: object) -> None:
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS = tokens
        del settings.ROOT_URLCONF
        assert checks.check_receipts(None) == []

    def test_the_command_reports_it_and_no_mistake_quotes_a_token(self, settings: Settings) -> None:
        settings.DJANGO_GOVUK_NOTIFY_OUTBOX__RECEIPT_TOKENS = ["my-secret-token\n"]
        with pytest.raises(SystemCheckError) as raised:
            call_command("check")
        told = str(raised.value)
        assert "django_govuk_notify_outbox.E008" in told
        assert "django_govuk_notify_outbox.W005" in told
        assert "my-secret-token" not in told
        with pytest.raises(ImproperlyConfigured, match="RECEIPT_TOKENS must hold texts") as raised_again:
            conf.receipt_tokens()
        assert "my-secret-token" not in str(raised_again.value)


@pytest.mark.skipif(connection.vendor != "mysql", reason="only MariaDB and MySQL have character sets for columns")
@pytest.mark.django_db(transaction=True)
def test_a_table_that_cannot_keep_every_character_is_reported() -> None:
    assert checks.check_character_set(None, databases=["default"]) == []
    table = EmailMessage._meta.db_table
    change = f"ALTER TABLE {table} MODIFY subject varchar(255) CHARACTER SET %s NOT NULL"
    with connection.cursor() as cursor:
        cursor.execute(change % "latin1")
        try:
            (found,) = checks.check_character_set(None, databases=["default"])
        finally:
            cursor.execute(change % "utf8mb4")
    assert found.id == "django_govuk_notify_outbox.W006"
    assert found.hint
    assert "CONVERT TO CHARACTER SET utf8mb4" in found.hint
    assert checks.check_character_set(None, databases=["default"]) == []


def test_character_sets_are_not_asked_for_where_no_database_is_to_be_checked() -> None:
    assert checks.check_character_set(None, databases=None) == []
