"""The database connection: writes that are committed before Notify hears of them, and connections that broke."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db import connections, transaction

from django_govuk_notify_outbox.models import write_database

_NOT_COMMITTED = (
    "Emails cannot be sent from within a transaction: if it were rolled back, or ended too late, they would be sent "
    "again. Call this outside of transaction.atomic(), with autocommit on. If it is a Celery task that fails, its base "
    "class opens a transaction: leave this app's tasks out of that."
)


@contextmanager
def committed() -> Iterator[None]:
    """A transaction that is committed when the block ends, so that every other process sees what was written.

    Raises TransactionManagementError where that cannot be: within a transaction (except that of Django's ``TestCase``),
    or with autocommit turned off.
    """
    alias = write_database()
    connection = transaction.get_connection(alias)
    with ExitStack() as stack:
        if not connection.in_atomic_block and not connection.get_autocommit():
            raise transaction.TransactionManagementError(_NOT_COMMITTED)
        try:
            stack.enter_context(transaction.atomic(using=alias, durable=True))
        except RuntimeError as error:
            raise transaction.TransactionManagementError(_NOT_COMMITTED) from error
        yield


def drop_broken_connection() -> None:
    """After an error: if the database cut the connection, let the next statement make a new one."""
    connection = transaction.get_connection(write_database())
    # Django would close it for its age too, and without autocommit in any case, with the caller's transaction
    if connection.errors_occurred and not connection.in_atomic_block and connection.autocommit:
        connection.close_if_unusable_or_obsolete()


def drop_old_connection() -> None:
    """Close the connection if it is broken or old, as Django does when a request ends; not within a transaction.

    For what is run in threads that no request ends in. They would keep a connection open that nobody uses.
    """
    connection = transaction.get_connection(write_database())
    if not connection.in_atomic_block and connection.autocommit:
        connection.close_if_unusable_or_obsolete()


def is_seen_by_threads() -> bool:
    """Whether other threads see the emails that this one sees: not in a test's transaction, nor in one's own memory."""
    connection = transaction.get_connection(write_database())
    in_memory = connection.vendor == "sqlite" and connection.is_in_memory_db()
    return not (connection.in_atomic_block or in_memory)


@contextmanager
def broken_connection_dropped() -> Iterator[None]:
    """Leave no broken connection to the next task.

    With CELERY_DB_REUSE_MAX, Celery keeps a connection for many tasks. And one that was interrupted on the edge of a
    transaction, by a time limit, would take itself to be within one for good.
    """
    alias = write_database()
    before = _transaction_state(alias)
    try:
        yield
    except Exception:
        if _transaction_state(alias) != before:
            connections[alias].close()
            del connections[alias]
        drop_broken_connection()
        raise


def _transaction_state(alias: str) -> tuple[bool, bool]:
    connection = transaction.get_connection(alias)
    return connection.in_atomic_block, connection.get_autocommit()
