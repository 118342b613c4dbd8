"""What follows from a score, in the answers of the API."""

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from ml.credit_risk.policy import PolicyOutcome, decide
from ml.credit_risk.policy_schema import PolicyError
from ml.credit_risk.register import REGISTER_FILE, AppealDecision, AppealRecord, RegisterError, StatusRecord, append
from serving.model_store import ModelStore
from serving.policy_desk import PolicyDesk
from serving.policy_schemas import CreditPolicyOutcome
from serving.released_model import ScoringInput, ScoringResult
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.ml.credit_risk.policy_cases import BAD_PAYER, CHINA, DAY, case
from tests.unit.serving.builders import approval, customer_id, feature_table, key_of, write_small_bundle
from tests.unit.serving.conftest import client_of, what_was_decided

CREDIT = "/v1/credit_risk/score"
INLINE = {
    "customer_class": "commercial",
    "bills_12m_count": 12,
    "mean_bill_12m_amount": 1000.0,
    "late_bills_12m_count": 12,
    "overdue_30d_bills_12m_count": 4,
    "unpaid_balance_ratio": 3.5,
}
NOW = datetime(2026, 9, 4, 8, tzinfo=UTC)
PREDICTION = {"default_probability": 0.4, "credit_rating": "D"}
SINCE = "2026-03-01"


@pytest.fixture
def home(tmp_path: Path, released_home: Path) -> Path:
    """A home that shares the releases and has a register of its own."""
    for folder in ("models", "releases"):
        (tmp_path / folder).symlink_to(released_home / folder)
    return tmp_path


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    runtime = Runtime(ServingSettings(home=home, log_predictions=False))
    runtime.start()
    yield client_of(runtime)
    runtime.stop()


def desk(home: Path, **changes: Any) -> PolicyDesk:
    values: dict[str, Any] = {"paths": (), "currency": "CNY", "time_zone": "Asia/Shanghai"}
    return PolicyDesk(home, changes.pop("policy_id", "cn_local"), **(values | changes))


def outcome_of(counter: PolicyDesk, key: str | None, decided_at: datetime, rating: str = "D") -> PolicyOutcome:
    """Return what follows for a bad payer with this rating in force."""
    scored = (ScoringInput(INLINE, key), ScoringResult(PREDICTION, {"rating_in_force": rating}))
    [outcome] = counter.outcomes([scored], decided_at)
    return outcome


@pytest.fixture(scope="module")
def home_with_months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose credit release knows the rating in force of every customer: B, except AA for the first."""
    home = tmp_path_factory.mktemp("months")
    store = ModelStore(home)
    write_small_bundle(home / "bundle", "credit_risk")
    known = feature_table("credit_risk").assign(rating_in_force="B", in_force_since_month=SINCE, moved_by=None)
    known.loc[0, "rating_in_force"] = "AA"
    store.publish_release(
        "credit_risk",
        store.store_bundle(home / "bundle").split(":")[1],
        known,
        gate=approval("credit_risk"),
        approved_by="automatic policy",
        marts_version="m1",
    )
    return home


def protect(home: Path, key: str) -> None:
    today = date.today()
    append(
        home / REGISTER_FILE,
        StatusRecord(
            recorded_by="desk",
            customer_key=key,
            status="low_income",
            valid_from=today - timedelta(days=9),
            valid_until=today + timedelta(days=9),
        ),
    )


def test_answer_says_what_follows_why_until_when_and_how_to_appeal(client: TestClient) -> None:
    policy = client.post(CREDIT, json={"features": INLINE}).json()["result"]["policy"]

    outcome = CreditPolicyOutcome.model_validate(policy)
    assert outcome.measures[0].kind == "black_list"
    assert "veto_arrears" in outcome.measures[0].rule_ids
    assert outcome.measures[0].expires_on > outcome.expires_on > outcome.as_of
    assert outcome.appeal.until > outcome.as_of
    assert "一票否决" in "".join(rule.text_zh for rule in outcome.rules)


def test_batch_says_the_same_as_single_requests_about_what_follows(client: TestClient) -> None:
    ids = [customer_id(number) for number in range(20)]

    batch = client.post(CREDIT, json={"customer_ids": ids}).json()["results"]

    for result in batch[:5]:
        single = client.post(CREDIT, json={"customer_id": result["customer_id"]}).json()["result"]
        assert result["policy"] == single["policy"]


def test_rating_in_force_of_the_release_is_answered_logged_and_decided_by(home_with_months: Path) -> None:
    runtime = Runtime(ServingSettings(home=home_with_months))
    runtime.start()
    client = client_of(runtime)
    first = client.post(CREDIT, json={"customer_id": customer_id(0)}).json()["result"]
    many = client.post(CREDIT, json={"customer_ids": [customer_id(number) for number in range(20)]}).json()["results"]
    runtime.stop()

    assert first["rating_in_force"] == "AA"
    assert what_was_decided(many[:1]) == what_was_decided([first])
    for result in many[1:]:
        assert [result[name] for name in ("rating_in_force", "in_force_since_month", "moved_by", "rating_basis")] == [
            "B",
            SINCE,
            None,
            "months",
        ]
        # By the rating in force, whatever the rating of the month is.
        asked = [rule["text"] for rule in result["policy"]["rules"] if "rating" in rule["text"]]
        assert all("rating B" in text for text in asked)
        assert "remind_before_due_date" in [rule["rule_id"] for rule in result["policy"]["rules"]]
    logged = pd.concat(pd.read_parquet(file) for file in (home_with_months / "predictions" / "log").rglob("*.parquet"))
    assert sorted(set(logged["rating_in_force"])) == ["AA", "B"]
    assert set(logged["in_force_since_month"].astype(str)) == {SINCE}
    assert set(logged["policy_version"]) == {"cn_local@2024-01-01"}


def test_features_without_months_are_rated_by_their_row_and_marked_so(client: TestClient) -> None:
    result = client.post(CREDIT, json={"items": [{"customer_id": customer_id(3), "features": INLINE}]}).json()[
        "results"
    ][0]

    assert result["rating_basis"] == "row"
    assert result["rating_in_force"] == result["prediction"]["credit_rating"]
    assert result["in_force_since_month"] is None


def test_what_is_recorded_counts_in_the_next_answer(client: TestClient, home: Path) -> None:
    body = {"items": [{"customer_id": customer_id(3), "features": INLINE}]}

    before = client.post(CREDIT, json=body).json()["results"][0]["policy"]
    protect(home, key_of(3))
    after = client.post(CREDIT, json=body).json()["results"][0]["policy"]

    assert "black_list" in [measure["kind"] for measure in before["measures"]]
    assert [measure["kind"] for measure in after["measures"]] == ["reminder", "instalment_plan"]
    assert {one["reason_code"] for one in after["withheld"]} == {"protection"}


def test_upheld_appeal_counts_for_the_one_who_appealed(home: Path) -> None:
    counter = desk(home)
    filed = AppealRecord(
        recorded_by="desk",
        customer_key=key_of(1),
        policy_version=CHINA.version,
        rule_ids=("veto_arrears",),
        filed_on=DAY - timedelta(days=2),
        ground="already_paid",
    )
    append(home / REGISTER_FILE, filed)
    append(
        home / REGISTER_FILE,
        AppealDecision(
            recorded_by="head",
            appeal_id=filed.appeal_id,
            customer_key=key_of(1),
            decided_on=DAY - timedelta(days=1),
            decision="upheld",
            expires_on=DAY + timedelta(days=300),
        ),
    )

    def kinds(outcome: PolicyOutcome) -> list[str]:
        return [measure.kind for measure in outcome.measures]

    assert "black_list" not in kinds(outcome_of(counter, key_of(1), NOW))
    assert "black_list" in kinds(outcome_of(counter, key_of(2), NOW))


def test_day_of_the_outcome_is_local(home: Path) -> None:
    late = datetime(2026, 9, 4, 20, tzinfo=UTC)

    assert outcome_of(desk(home), None, late).as_of == date(2026, 9, 5)
    assert outcome_of(desk(home, time_zone="Europe/Berlin"), None, late).as_of == date(2026, 9, 4)


def test_register_that_gets_damaged_leaves_the_last_sound_one_and_is_logged(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    protect(home, key_of(3))
    counter = desk(home)
    with (home / REGISTER_FILE).open("a", encoding="utf-8") as file:
        file.write("broken\n")

    with caplog.at_level(logging.ERROR):
        outcome = outcome_of(counter, key_of(3), datetime.now(UTC))

    assert {one.reason_code for one in outcome.withheld} == {"protection"}
    assert "line 2: no record of the credit register" in caplog.text
    with pytest.raises(RegisterError):
        desk(home)


def test_unknown_policy_does_not_start(home: Path) -> None:
    with pytest.raises(PolicyError, match="No credit policy 'mine' applies on"):
        desk(home, policy_id="mine")


def test_answer_has_a_field_for_everything_that_an_outcome_says() -> None:
    outcome = decide(CHINA, case(BAD_PAYER), DAY)

    parsed = CreditPolicyOutcome.model_validate(outcome, from_attributes=True)

    assert set(CreditPolicyOutcome.model_fields) == set(PolicyOutcome.__slots__)
    assert [measure.text for measure in parsed.measures] == [measure.text for measure in outcome.measures]
