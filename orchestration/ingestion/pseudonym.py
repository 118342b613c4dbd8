"""Pseudonyms of customers: the only place that turns a supplier's customer_id into a customer_key."""

import hmac

from orchestration.ingestion.errors import PseudonymKeyError

DEVELOPMENT_PSEUDONYM_KEY = "kilowise-development-key-not-for-production"
"""Public, so that examples work out of the box; pseudonyms made with it protect nobody."""

_MINIMUM_KEY_CHARACTERS = 32
_CUSTOMER_KEY_CHARACTERS = 32


def check_pseudonym_key(key: str, environment: str) -> str:
    """Return the key if it may be used in the environment.

    Args:
        key: Secret that the pseudonyms depend on.
        environment: ``development`` or ``production``.

    Raises:
        PseudonymKeyError: Outside development, for a missing, short or published key.
    """
    remedy = (
        'set KILOWISE_PSEUDONYM_KEY to a secret of your own: python -c "import secrets; print(secrets.token_hex(32))"'
    )
    if not key:
        raise PseudonymKeyError(f"the pseudonym key is empty; {remedy}")
    if environment == "development":
        return key
    if hmac.compare_digest(key.encode(), DEVELOPMENT_PSEUDONYM_KEY.encode()):
        raise PseudonymKeyError(f"the development pseudonym key is refused in environment {environment}; {remedy}")
    if len(key) < _MINIMUM_KEY_CHARACTERS:
        raise PseudonymKeyError(
            f"the pseudonym key has {len(key)} characters, at least {_MINIMUM_KEY_CHARACTERS} are needed in "
            f"environment {environment}; {remedy}"
        )
    return key


def customer_key(customer_id: str, pseudonym_key: str) -> str:
    """Return the pseudonym of a customer: the first 32 hex digits of HMAC-SHA256 of the id."""
    return hmac.digest(pseudonym_key.encode(), customer_id.encode(), "sha256").hex()[:_CUSTOMER_KEY_CHARACTERS]


def erasure_mark(identifier: str, pseudonym_key: str, kind: str = "customer_id") -> str:
    """Return what is kept of an erased customer: enough to refuse the id again, of no use to find anything else.

    Args:
        identifier: Id of the customer, or of a meter or bill that was only ever the customer's.
        pseudonym_key: Key of the pseudonyms.
        kind: Column of the contract that holds the id.
    """
    label = "erased" if kind == "customer_id" else f"erased {kind}"
    return hmac.digest(pseudonym_key.encode(), f"{label}\x00{identifier}".encode(), "sha256").hex()
