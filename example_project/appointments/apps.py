"""The app's registration."""

from django.apps import AppConfig


class AppointmentsConfig(AppConfig):
    """Appointments at a register office."""

    name = "appointments"
    verbose_name = "Register office appointments"
