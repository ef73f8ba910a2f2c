"""The ways in which Notify refuses, named and shaped as in its answers."""

from collections.abc import Sequence


class ApiError(Exception):
    """A refusal: a status, and one or more messages under the name of the exception's class."""

    def __init__(self, messages: str | Sequence[str], *, status: int) -> None:
        self.messages = [messages] if isinstance(messages, str) else list(messages)
        self.status = status
        super().__init__(*self.messages)


class AuthError(ApiError):
    """Who asks couldn't be established."""

    def __init__(self, message: str, *, status: int = 403) -> None:
        super().__init__(message, status=status)


class ValidationError(ApiError):
    """The request isn't of the required form; every fault of the form is told at once."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__(messages, status=400)


class BadRequestError(ApiError):
    """The request is well formed and can't be done."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message, status=status)


class RateLimitError(ApiError):
    """The token bucket is empty."""

    def __init__(self, *, key_kind: str, limit: int) -> None:
        message = f"Exceeded rate limit for key type {key_kind.upper()} of {limit} requests per 60 seconds"
        super().__init__(message, status=429)


class TooManyRequestsError(ApiError):
    """The service has sent all that it may send today."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"Exceeded send limits (email: {limit}) for today", status=429)


class NoResultFound(ApiError):
    """There is no such notification or template."""

    def __init__(self) -> None:
        super().__init__("No result found", status=404)
