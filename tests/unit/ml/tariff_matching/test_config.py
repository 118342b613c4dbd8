import pytest
from pydantic import ValidationError

from ml.tariff_matching.config import TariffMatchingConfig


def test_an_unknown_response_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="no elasticity set `hgih`; there are zero, shift, low, high"):
        TariffMatchingConfig(response_set="hgih")


@pytest.mark.parametrize("name", ["zero", "shift", "low", "high"])
def test_every_shipped_response_may_be_set(name: str) -> None:
    assert TariffMatchingConfig(response_set=name).response_set == name
