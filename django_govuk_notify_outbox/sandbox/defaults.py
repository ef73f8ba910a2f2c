"""The service that every sandbox has. Its keys are no secrets: they open nothing but a sandbox."""

from uuid import UUID

from .services import LIVE, TEAM, TEST, ApiKey, Service, Template

SERVICE_ID = "5a2d6f0c-7e51-4c39-9b1e-2f8a4d3c6b70"

_SECRETS = {
    LIVE: "1c9e4b7a-30d2-4f85-8a6b-e05d7c2f9134",
    TEAM: "2e7f15c8-64ab-4d09-b3c1-97a0f8d62e45",
    TEST: "3b60d29e-58f7-4a1c-9e24-c8b57f10ad36",
}

API_KEY = f"sandbox-{SERVICE_ID}-{_SECRETS[LIVE]}"
TEAM_API_KEY = f"sandbox_team-{SERVICE_ID}-{_SECRETS[TEAM]}"
TEST_API_KEY = f"sandbox_test-{SERVICE_ID}-{_SECRETS[TEST]}"

TEMPLATE_ID = "a1f5c3d8-0b74-4e26-8d93-6c7e2a9b4f01"
PLAIN_TEMPLATE_ID = "b2e6d4c9-1c85-4f37-9ea4-7d8f3bac5012"
APPOINTMENT_TEMPLATE_ID = "c3d7e5ba-2d96-4048-afb5-8e904cbd6123"

GUEST = "guest@example.com"
TEAM_MEMBER = "team.member@example.gov.uk"
REPLY_TO_ID = "d4c8f6ab-3ea7-4159-b0c6-9fa15dce7234"
REPLY_TO_ADDRESS = "replies@example.gov.uk"

_TEMPLATES = (
    Template(
        id=UUID(TEMPLATE_ID),
        name="Hello",
        subject="Hello ((name))",
        body="Hello ((name)),\n\nThis email comes from the sandbox.",
    ),
    Template(
        id=UUID(PLAIN_TEMPLATE_ID),
        name="Application received",
        subject="We received your application",
        body="Hello.\n\nWe received your application.",
    ),
    Template(
        id=UUID(APPOINTMENT_TEMPLATE_ID),
        name="Appointment",
        subject="Your appointment on ((date))",
        body=(
            "Hello ((name)),\n\nYour appointment is on ((date)) at ((time)).\n\n# Where\n\n((place))\n\n"
            "Your reference is ((reference))."
        ),
    ),
)

SERVICE = Service(
    id=UUID(SERVICE_ID),
    email_from="sandbox",
    api_keys=tuple(ApiKey(kind=kind, secret=secret) for kind, secret in _SECRETS.items()),
    templates={template.id: template for template in _TEMPLATES},
    guests=frozenset({GUEST, TEAM_MEMBER}),
    reply_to_addresses={UUID(REPLY_TO_ID): REPLY_TO_ADDRESS},
)
