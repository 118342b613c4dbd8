import json
import re
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.evaluation import Evaluation, EvaluationTable
from ml.segmentation.card import advice_tables
from ml.segmentation.model import Segment, shapeless_segments
from ml.segmentation.naming import PROFILE_COLUMNS, label_segments
from ml.segmentation.schema import FEATURES, PREDICTIONS
from ml.segmentation.succession import succession_table, trace
from ml.wording import Bilingual
from monitoring.segment_pages import MIXED_COLUMNS, SEGMENT_PAGE, VALUE_WORDS, read_segment_page
from monitoring.site import build_site
from tests.unit.monitoring.factories import MONTH, RELEASE, Platform, prediction_frame, write_release

HOURS = np.arange(24)
EVENING = 0.6 + 1.5 * np.exp(-0.5 * ((HOURS - 19) / 1.6) ** 2)
JULY = date(2026, 7, 1)


def _advice() -> tuple[EvaluationTable, EvaluationTable]:
    centres = np.stack([np.tile(EVENING / EVENING.mean(), 2), np.ones(48)])
    profiles = [dict.fromkeys(PROFILE_COLUMNS, 1.0) | {"daily_kwh_cv": 0.1}] * 2
    labels = label_segments("R", centres, profiles, ["R1", "R2"])
    return advice_tables(
        [
            *(Segment.from_label(f"R{number}", "R", label) for number, label in enumerate(labels, start=1)),
            *shapeless_segments(),
        ]
    )


def _write_after_models(home: Path, **marts: pd.DataFrame) -> None:
    folder = home / "marts" / "after_models"
    version = folder / "versions" / "0a"
    version.mkdir(parents=True)
    (folder / "CURRENT").write_text("0a", encoding="utf-8")
    for name, mart in marts.items():
        mart.to_parquet(version / f"{name}.parquet")


def _migration(month: date, *flows: tuple[str, str, int]) -> pd.DataFrame:
    rows = pd.DataFrame(flows, columns=["from_segment_id", "to_segment_id", "customers_count"])
    return rows.assign(as_of_month=month, customer_group="residential", is_same_release=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A served segmentation that scored July and August, 200 customers in R1 and 100 in R2."""
    platform = Platform(tmp_path, "segmentation")
    folder = write_release(platform)
    evaluation = Evaluation.model_validate_json((folder / "evaluation.json").read_bytes())
    told = evaluation.model_copy(update={"tables": _advice()})
    (folder / "evaluation.json").write_text(told.model_dump_json(), encoding="utf-8")
    for month in (JULY, MONTH):
        frame = prediction_frame("segmentation", month, 300, seed=3)
        known = {
            "segment_id": ["R1"] * 200 + ["R2"] * 100,
            "mean_daily_kwh": 24.0,
            "annual_kwh": 8760.0,
            "billed_amount_12m_amount": [876.0] * 200 + [1752.0] * 100,
            **{f"weekday_shape_{hour:02d}": [EVENING[hour] / EVENING.mean()] * 200 + [1.0] * 100 for hour in HOURS},
        }
        frame = frame.drop(columns=list(known)).join(pd.DataFrame(known))
        platform.write_batch(frame, month)
    portrait = pd.DataFrame(
        {
            "customer_key": frame["customer_key"],
            "tariff_id": ["flat"] * 150 + ["time_of_use"] * 150,
            "currency": "CNY",
            "unpaid_amount": [87.6] * 20 + [0.0] * 180 + [np.nan] * 100,
            "mean_satisfaction_12m": [4.0] * 10 + [np.nan] * 290,
        }
    )
    flows = [
        _migration(JULY, ("R1", "R1", 198), ("R2", "R2", 97), ("new", "R1", 5)),
        _migration(MONTH, ("R1", "R1", 190), ("R1", "R2", 4), ("R1", "lost", 6), ("R2", "R2", 96), ("new", "R1", 10)),
    ]
    _write_after_models(tmp_path, customer_portrait=portrait, segment_migration_monthly=pd.concat(flows))
    return tmp_path


def _text(home: Path) -> str:
    build_site(home)
    return (home / "reports" / "site" / "segmentation" / SEGMENT_PAGE).read_text(encoding="utf-8")


def test_the_page_tells_what_marks_a_segment_what_to_offer_and_what_to_avoid(home: Path) -> None:
    text = _text(home)
    for table in _advice():
        for row in table.rows[:2]:
            for words in row:
                assert str(words) in text
    assert text.count('class="curve"') == 4


def test_what_became_of_the_segments_of_the_release_before_is_told_in_both_languages(home: Path) -> None:
    assert 'id="succession"' not in _text(home)
    path = home / "releases/segmentation" / RELEASE / "evaluation.json"
    evaluation = Evaluation.model_validate_json(path.read_bytes())
    before = {"R1": Bilingual(en="Evening", zh="晚高峰居民")}
    now = {**before, "R2": Bilingual(en="Night", zh="夜间用电居民")}
    table = succession_table(trace(["R1"] * 10, ["R1"] * 6 + ["R2"] * 4, before, now), before, now)
    told = evaluation.model_copy(update={"tables": (*evaluation.tables, table)})
    path.write_text(told.model_dump_json(), encoding="utf-8")
    text = _text(home)
    for expected in ("R1 was split into R1 and R2.", "晚高峰居民", "夜间用电居民", "拆分", "延续", "40.0 %"):
        assert expected in text


def test_the_figures_are_those_of_the_latest_month(home: Path) -> None:
    evaluation = Evaluation.model_validate_json(
        (home / "releases/segmentation" / RELEASE / "evaluation.json").read_bytes()
    )
    page = read_segment_page(home, RELEASE, evaluation)
    assert page is not None
    assert (page.month, page.peak_hour) == (MONTH, 19)
    first, second = page.segments
    assert (first.segment_id, first.customers_count, second.customers_count) == ("R1", 200, 100)
    assert first.percents["energy_share"] == pytest.approx(100 * 2 / 3)
    assert first.percents["billed_share"] == pytest.approx(50.0)
    at_seven = 200 * EVENING[19] / EVENING.mean()
    assert first.percents["peak_share"] == pytest.approx(100 * at_seven / (at_seven + 100))
    facts = {fact.title.en: (fact.value, fact.note.en) for fact in first.facts}
    assert facts["Billed a year, per customer"] == ("876", "CNY")
    assert facts["Billed per kWh"] == ("0.100", "CNY")
    assert facts["Past due and unpaid, of a year's bills"] == ("1.00 %", "20 customers")
    assert facts["Satisfaction, 1 to 5"] == ("4.00", "10 customers answered")
    unknown = {fact.title.en: (fact.value, fact.note.en) for fact in second.facts}
    assert unknown["Past due and unpaid, of a year's bills"] == ("–", "")
    tariffs = next(mix for mix in first.mixes if mix.title.en == "Tariff")
    assert [(part.title.en, part.percent) for part in tariffs.parts] == [("flat", 75.0), ("time_of_use", 25.0)]
    assert all(sum(part.percent for part in mix.parts) == pytest.approx(100) for mix in first.mixes)


def test_every_value_of_the_schema_has_words_in_both_languages() -> None:
    allowed = {
        value for column in (*FEATURES, *PREDICTIONS) if column.name in MIXED_COLUMNS for value in column.allowed
    }
    assert allowed <= set(VALUE_WORDS)
    assert all(words.en and words.zh for words in VALUE_WORDS.values())


def test_movement_is_told_by_segment_and_as_a_table(home: Path) -> None:
    evaluation = Evaluation.model_validate_json(
        (home / "releases/segmentation" / RELEASE / "evaluation.json").read_bytes()
    )
    page = read_segment_page(home, RELEASE, evaluation)
    assert page is not None
    first = page.segments[0]
    assert first.stayed_percent == pytest.approx(95.0)
    assert [(move.place, move.customers_count) for move in first.came] == [("new", 10)]
    assert [(move.place, move.customers_count) for move in first.went] == [("lost", 6), ("R2", 4)]
    latest, earlier = page.migrations
    assert (latest.month, earlier.month) == (MONTH, JULY)
    assert latest.columns == ("R1", "R2", "lost")
    assert latest.rows[0][0] == "R1"
    assert [cell.customers_count for cell in latest.rows[0][1]] == [190, 4, 6]
    assert sum(cell.percent for cell in latest.rows[0][1]) == pytest.approx(100)
    assert latest.stayed_percent == pytest.approx(100 * 286 / 290)


def test_segments_stand_in_the_order_of_their_groups_and_places_that_are_none_last(home: Path) -> None:
    (home / "marts" / "after_models" / "CURRENT").unlink()
    places = ("lost", "unknown", "RD1", "B2", "R10", "R2", "R0", "B1")
    flows = _migration(MONTH, *((place, place, 1) for place in places))
    version = home / "marts" / "after_models" / "versions" / "0a"
    flows.to_parquet(version / "segment_migration_monthly.parquet")
    (home / "marts" / "after_models" / "CURRENT").write_text("0a", encoding="utf-8")
    evaluation = Evaluation.model_validate_json(
        (home / "releases/segmentation" / RELEASE / "evaluation.json").read_bytes()
    )
    page = read_segment_page(home, RELEASE, evaluation)
    assert page is not None
    assert page.migrations[0].columns == ("R2", "R10", "B1", "B2", "RD1", "R0", "unknown", "lost")


def test_the_page_holds_no_customer_loads_nothing_and_is_small(home: Path) -> None:
    text = _text(home)
    assert not re.search(r"\b[0-9a-f]{32}\b", text)
    assert "://" not in text.replace("http://www.w3.org/", "")
    assert len(text.encode()) < 200_000


def test_the_first_page_and_the_model_page_lead_to_it(home: Path) -> None:
    _text(home)
    assert f'href="{SEGMENT_PAGE}"' in (home / "reports/site/segmentation/index.html").read_text(encoding="utf-8")
    assert f'href="segmentation/{SEGMENT_PAGE}"' in (home / "reports/site/index.html").read_text(encoding="utf-8")


def test_what_is_not_there_yet_is_left_out(home: Path) -> None:
    (home / "marts" / "after_models" / "CURRENT").unlink()
    text = _text(home)
    assert 'id="migration"' not in text
    assert "Satisfaction" not in text
    (home / "predictions/batch/segmentation" / f"as_of_month={MONTH}" / "predictions.parquet").write_bytes(b"damaged")
    assert "2026-07" in _text(home)


def test_predictions_of_an_earlier_code_give_a_page_with_what_they_hold(home: Path) -> None:
    path = home / "predictions/batch/segmentation" / f"as_of_month={MONTH}" / "predictions.parquet"
    pd.read_parquet(path).drop(columns=["value_tier", "loyalty_tier"]).to_parquet(path)
    text = _text(home)
    assert "忠诚度" not in text
    assert "生命周期" in text


def test_there_is_no_page_before_the_served_release_has_scored(home: Path) -> None:
    assert _text(home)
    folder = home / "releases" / "segmentation"
    record = json.loads((folder / RELEASE / "release.json").read_text(encoding="utf-8"))
    (folder / RELEASE).rename(folder / "0002-202609-def")
    (folder / "0002-202609-def" / "release.json").write_text(json.dumps({**record, "name": "0002-202609-def"}))
    (folder / "CURRENT").write_text("0002-202609-def", encoding="utf-8")
    build_site(home)
    assert not (home / "reports" / "site" / "segmentation" / SEGMENT_PAGE).exists()
