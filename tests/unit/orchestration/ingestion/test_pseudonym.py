import hashlib
import hmac

import pytest

from orchestration.ingestion.errors import PseudonymKeyError
from orchestration.ingestion.pseudonym import (
    DEVELOPMENT_PSEUDONYM_KEY,
    check_pseudonym_key,
    customer_key,
    erasure_mark,
)
from orchestration.settings import DEVELOPMENT_PSEUDONYM_KEY as SETTINGS_KEY
from serving.identity import customer_key as serving_customer_key


def test_customer_key_is_the_first_half_of_the_hmac() -> None:
    expected = hmac.new(b"secret", "客户-1".encode(), hashlib.sha256).hexdigest()

    assert customer_key("客户-1", "secret") == expected[:32]


def test_service_makes_the_same_key_as_the_landing() -> None:
    assert serving_customer_key("C-4711", b"secret") == customer_key("C-4711", "secret")


def test_erasure_mark_reveals_neither_id_nor_key() -> None:
    mark = erasure_mark("C1", "secret")

    assert customer_key("C1", "secret") not in mark
    assert mark != erasure_mark("C2", "secret")


def test_development_key_is_one_and_the_same_everywhere() -> None:
    assert DEVELOPMENT_PSEUDONYM_KEY == SETTINGS_KEY


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "is empty"),
        (DEVELOPMENT_PSEUDONYM_KEY, "the development pseudonym key is refused in environment production"),
        ("too short", "has 9 characters, at least 32 are needed"),
    ],
)
def test_weak_keys_are_refused_in_production(key: str, words: str) -> None:
    with pytest.raises(PseudonymKeyError, match=words) as caught:
        check_pseudonym_key(key, "production")

    assert "set KILOWISE_PSEUDONYM_KEY" in str(caught.value)
    assert not key or key not in str(caught.value)


def test_own_key_is_accepted_in_production_and_any_in_development() -> None:
    assert check_pseudonym_key("k" * 32, "production") == "k" * 32
    assert check_pseudonym_key(DEVELOPMENT_PSEUDONYM_KEY, "development") == DEVELOPMENT_PSEUDONYM_KEY
