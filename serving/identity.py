"""Customer keys: the one place where ``serving`` touches a supplier's customer id.

Ids come in with requests, are hashed here and are never logged or stored.
"""

import hashlib
import hmac
from typing import Annotated

from pydantic import AfterValidator, Field

CUSTOMER_KEY_LENGTH = 32


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must not contain control characters")
    return value


CustomerId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        description="The supplier's own customer id, exactly as in its files / 供电企业客户编号",
        examples=["C0000001"],
    ),
    AfterValidator(_printable),
]


def customer_key(customer_id: str, pseudonym_key: bytes) -> str:
    """Return the key under which the platform knows a customer.

    Args:
        customer_id: The supplier's id, exactly as in its files.
        pseudonym_key: The key that the landing was written with.
    """
    digest = hmac.new(pseudonym_key, customer_id.encode(), hashlib.sha256).hexdigest()
    return digest[:CUSTOMER_KEY_LENGTH]
