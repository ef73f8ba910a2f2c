"""Run the sandbox: python -m django_govuk_notify_outbox.sandbox."""

from .server import main

main()
