"""Email addresses: which ones Notify takes, how it writes them, and the ones that mean something to it."""

import re

_OBSCURE = dict.fromkeys(map(ord, "\u180e\u200b\u200c\u200d\u2060\ufeff\u00a0\u2028"))
_WHITE_SPACE = " \t\n\r\x0b\x0c"
_MAXIMUM_LENGTH = 320
_MAXIMUM_DOMAIN_LENGTH = 253
_ADDRESS = re.compile(r"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@([^.@\s][^@\s]+)")
_MAXIMUM_LABEL_LENGTH = 63
_LABEL = re.compile(r"[a-z0-9]+(--?[a-z0-9]+)*", re.IGNORECASE)
_TOP_LEVEL = re.compile(r"[a-z]{2,63}|xn--([a-z0-9]+-)*[a-z0-9]+", re.IGNORECASE)

_SIMULATED = frozenset(f"simulate-delivered{suffix}@notifications.service.gov.uk" for suffix in ("", "-2", "-3"))
_OUTCOMES = {
    "temp-fail@simulator.notify": "temporary-failure",
    "perm-fail@simulator.notify": "permanent-failure",
    # Notify has no such address: it's the sandbox's own.
    "technical-fail@simulator.notify": "technical-failure",
}


def normalise(address: str) -> str:
    """Strip white space around the address and obscure characters anywhere. Its case is kept, as by Notify."""
    return address.translate(_OBSCURE).strip(_WHITE_SPACE)


def is_valid(address: str) -> bool:
    """Tell whether Notify takes the address."""
    address = normalise(address)
    match = _ADDRESS.fullmatch(address)
    if match is None or len(address) > _MAXIMUM_LENGTH or ".." in address:
        return False
    try:
        domain = match[1].encode("idna").decode("ascii")
    except UnicodeError:
        return False
    *labels, top_level = domain.split(".")
    return (
        len(domain) <= _MAXIMUM_DOMAIN_LENGTH
        and bool(labels)
        and all(len(label) <= _MAXIMUM_LABEL_LENGTH and _LABEL.fullmatch(label) for label in [*labels, top_level])
        and _TOP_LEVEL.fullmatch(top_level) is not None
    )


def is_simulated(address: str) -> bool:
    """Tell whether Notify only pretends to accept emails to it: 201, and nothing is stored."""
    return normalise(address).lower() in _SIMULATED


def outcome_for(address: str) -> str:
    """Return the status in which an email to it ends. Another case means another address, so delivered."""
    return _OUTCOMES.get(normalise(address), "delivered")


def is_among(address: str, others: frozenset[str]) -> bool:
    """Tell whether it's one of the others, whatever its case."""
    return normalise(address).lower() in others
