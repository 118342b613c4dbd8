"""The page on credit risk shows the features of the schema; with KILOWISE_UPDATE_SNAPSHOTS=1 the test writes them."""

import os
import re
from pathlib import Path

from ml.columns import names
from ml.credit_risk.formulas import FORMULAS, feature_table
from ml.credit_risk.schema import FEATURES

PAGE = Path(__file__).parents[4] / "docs" / "credit-risk.md"
SECTION = re.compile(r"(?<=<!-- features of the schema -->\n\n).*?(?=\n\n<!-- end of the features -->)", re.DOTALL)


def test_every_feature_has_a_formula():
    assert list(FORMULAS) == names(FEATURES)


def test_the_page_shows_the_features_of_the_schema():
    text = PAGE.read_text(encoding="utf-8")
    if os.environ.get("KILOWISE_UPDATE_SNAPSHOTS") == "1":
        text = SECTION.sub(lambda _: feature_table(), text)
        PAGE.write_text(text, encoding="utf-8")
    found = SECTION.search(text)
    assert found is not None
    assert found[0] == feature_table(), "run this test with KILOWISE_UPDATE_SNAPSHOTS=1 and look at the difference"
