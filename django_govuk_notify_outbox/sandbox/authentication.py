"""Who asks: the JSON web token in the Authorization header, checked as Notify checks it."""

from functools import lru_cache
from typing import Any
from uuid import UUID

import jwt

from .errors import AuthError
from .services import ApiKey, Service, find_service

_ALGORITHM = "HS256"
_CLOCK_SKEW = 30
_WEEK = 7 * 24 * 3600
_GENERAL = (
    "Invalid token: make sure your API token matches the example at "
    "https://docs.notifications.service.gov.uk/rest-api.html#authorisation-header"
)
_CLOCK = "Error: Your system clock must be accurate to within 30 seconds"


def authenticate(header: str, *, now: float) -> tuple[Service, ApiKey]:
    """Return the service and the key that signed the token. Raises AuthError if there is none."""
    token = _token_in(header)
    service = _service_named_in(token)
    keys = [key for key in service.api_keys if key.revoked_at is None or key.revoked_at > now - _WEEK]
    if not keys:
        raise AuthError("Invalid token: service has no API keys")
    if not service.active:
        raise AuthError("Invalid token: service is archived")
    for key in keys:
        if _is_signed_with(token, key.secret, now=now):
            if key.revoked_at is not None:
                raise AuthError("Invalid token: API key revoked")
            return service, key
    raise AuthError("Invalid token: API key not found")


def _token_in(header: str) -> str:
    if not header:
        raise AuthError("Unauthorized: authentication token must be provided", status=401)
    if header[:7].lower() != "bearer ":
        raise AuthError("Unauthorized: authentication bearer scheme must be used", status=401)
    return header[7:]


# A client signs anew once a second at most, so most tokens have been looked at already.
@lru_cache(maxsize=256)
def _claims(token: str, secret: str | None) -> dict[str, Any]:
    if secret is None:
        return jwt.decode(token, options={"verify_signature": False})
    # PyJWT would compare times with the machine's clock: see _check_times().
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    return jwt.decode(token, secret, algorithms=[_ALGORITHM], options=options)


def _service_named_in(token: str) -> Service:
    try:
        claims = _claims(token, None)
    except jwt.InvalidTokenError:
        raise AuthError(_GENERAL) from None
    if "iss" not in claims:
        raise AuthError("Invalid token: iss field not provided")
    try:
        service_id = UUID(claims["iss"])
    except (ValueError, AttributeError, TypeError):
        raise AuthError("Invalid token: service id is not the right data type") from None
    service = find_service(service_id)
    if service is None:
        raise AuthError("Invalid token: service not found")
    return service


def _is_signed_with(token: str, secret: str, *, now: float) -> bool:
    try:
        claims = _claims(token, secret)
    except jwt.InvalidAlgorithmError:
        raise AuthError("Invalid token: algorithm used is not HS256") from None
    except jwt.DecodeError:
        return False
    except jwt.InvalidTokenError:
        raise AuthError(_GENERAL) from None
    # Notify takes a token without a time for one signed with another key.
    return "iat" in claims and _check_times(claims, now=now)


def _check_times(claims: dict[str, object], *, now: float) -> bool:
    issued_at, expires_at, not_before = (_seconds(claims.get(name, now)) for name in ("iat", "exp", "nbf"))
    if abs(now - issued_at) > _CLOCK_SKEW or not_before > now + _CLOCK_SKEW:
        raise AuthError(_CLOCK)
    if expires_at <= now - _CLOCK_SKEW:
        raise AuthError(_GENERAL)
    return True


def _seconds(claim: object) -> int:
    try:
        return int(claim)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        raise AuthError(_CLOCK) from None
