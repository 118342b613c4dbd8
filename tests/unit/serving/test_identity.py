from hypothesis import given
from hypothesis import strategies as st

from orchestration.ingestion import pseudonym
from serving.identity import CUSTOMER_KEY_LENGTH, customer_key


def test_customer_key_is_the_documented_hmac() -> None:
    # printf C000001 | openssl dgst -sha256 -hmac secret
    assert customer_key("C000001", b"secret") == "414863d1b0c46d126f960902d796c616"


@given(st.text(min_size=1), st.binary(min_size=1, max_size=64))
def test_customer_key_hides_the_id_and_depends_on_the_key(customer_id: str, key: bytes) -> None:
    made = customer_key(customer_id, key)

    assert len(made) == CUSTOMER_KEY_LENGTH
    assert set(made) <= set("0123456789abcdef")
    assert made != customer_key(customer_id, key + b"x")


@given(st.text(min_size=1), st.text(min_size=1, max_size=64))
def test_customer_key_equals_the_landings(customer_id: str, key: str) -> None:
    assert customer_key(customer_id, key.encode()) == pseudonym.customer_key(customer_id, key)
