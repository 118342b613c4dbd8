"""Trials on live traffic: who is in the share, what is summarised, and what the gate makes of it."""

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.trials import (
    CRITERION,
    DECISION_COLUMNS,
    ArmFigures,
    TrialRequirement,
    TrialSummary,
    is_challengers,
    judge_trial,
    summarise_trial,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
EMPTY = TrialSummary(
    trial_id="t",
    use_case="credit_risk",
    mode="shadow",
    share=1.0,
    champion_version="v1",
    challenger_version="v2",
    started_at=START,
)


def rows(ratings: list[str], *, arm: str | None = "champion", first: int = 0, ms: float = 1.0) -> pd.DataFrame:
    numbers = range(first, first + len(ratings))
    return pd.DataFrame(
        {
            "decision_id": [f"d{number}" for number in numbers],
            "customer_key": [f"c{number}" for number in numbers],
            "decided_at": [START + timedelta(minutes=number) for number in numbers],
            "scoring_ms": ms,
            "arm": arm,
            "credit_rating": ratings,
            "default_probability": [0.1 + number / 100 for number in numbers],
            "error": None,
        }
    )


def judged(summary: TrialSummary | None, **more: object) -> bool | None:
    requirement = TrialRequirement(decisions=100, minimum_agreement=0.9, maximum_p95_ms=10)
    given = {"challenger_version": "v2", "decided_on": date(2026, 11, 10), **more}
    return judge_trial(summary, requirement, **given).passed  # type: ignore[arg-type]  # by name


def good(**changes: object) -> TrialSummary:
    arm = ArmFigures(decisions_count=200, median_ms=1.0, p95_ms=2.0)
    figures = {
        "last_decided_at": START + timedelta(days=2),
        "challenger": arm,
        "compared_count": 200,
        "agreement": 0.97,
        "agreement_lower": 0.94,
        "agreement_upper": 0.99,
    }
    return EMPTY.model_copy(update={**figures, **changes})


@given(st.text(min_size=1), st.text(min_size=1, max_size=40))
def test_everybody_and_nobody_are_the_ends_of_the_share(key: str, salt: str) -> None:
    assert is_challengers(key, salt, 1.0)
    assert not is_challengers(key, salt, 0.0)


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_whoever_is_in_a_share_is_in_every_larger_one(key: str, one: float, other: float) -> None:
    assert is_challengers(key, "salt", min(one, other)) <= is_challengers(key, "salt", max(one, other))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_share_is_drawn_as_asked_and_anew_by_each_salt(share: float) -> None:
    keys = [f"{number:032x}" for number in range(20_000)]

    first, second = ([is_challengers(key, salt, share) for key in keys] for salt in ("one", "two"))

    # Four standard deviations of a fair lot.
    tolerance = 4 * (share * (1 - share) / len(keys)) ** 0.5
    assert abs(sum(first) / len(keys) - share) < tolerance
    both = sum(a and b for a, b in zip(first, second, strict=True)) / len(keys)
    assert abs(both - share**2) < 4 * (share**2 * (1 - share**2) / len(keys)) ** 0.5
    assert first == [is_challengers(key, "one", share) for key in keys]


def test_shadow_compares_what_both_said_of_the_same_decision() -> None:
    answered = rows(["A", "A", "B", "B", "C"])
    shadow = rows(["A", "B", "B", "C"], arm="shadow", ms=3.0).assign(default_probability=0.5)
    shadow.loc[3, "error"] = "ValueError: no"

    summary = summarise_trial(EMPTY, answered, shadow)

    assert (summary.compared_count, summary.agreement) == (3, pytest.approx(2 / 3))
    # Wilson's interval of 2 out of 3, as scipy.stats.binomtest(2, 3).proportion_ci(method="wilson") gives it.
    assert (summary.agreement_lower, summary.agreement_upper) == (
        pytest.approx(0.2077, abs=1e-4),
        pytest.approx(0.9385, abs=1e-4),
    )
    assert [(one.before, one.after, one.count) for one in summary.changes] == [("A", "B", 1)]
    assert (summary.champion.decisions_count, summary.challenger.decisions_count) == (5, 3)
    assert (summary.challenger.errors_count, summary.challenger.error_share) == (1, 0.25)
    assert (summary.champion.p95_ms, summary.challenger.p95_ms) == (1.0, 3.0)
    assert summary.mean_score_difference == pytest.approx((0.4 + 0.39 + 0.38) / 3)
    assert summary.last_decided_at == START + timedelta(minutes=4)
    assert "1 time B instead of A." in summary.sentences()


def test_share_compares_groups_and_notices_one_that_no_lot_would_draw() -> None:
    trial = EMPTY.model_copy(update={"mode": "share", "share": 0.5})
    nothing = rows([]).assign(default_probability=pd.Series(dtype=float))
    champion, challenger = rows(["A"] * 60 + ["B"] * 40), rows(["A"] * 50 + ["B"] * 40, arm="challenger", first=200)

    summary = summarise_trial(trial, pd.concat([champion, challenger]), nothing)

    assert summary.champion.shares == {"A": 0.6, "B": 0.4}
    assert summary.challenger.shares["B"] == pytest.approx(4 / 9)
    assert summary.share_found == pytest.approx(90 / 190)
    assert summary.is_share_plausible is True
    few = summarise_trial(trial, pd.concat([champion, challenger[:10]]), nothing)
    assert few.is_share_plausible is False
    assert "which chance does not explain" in few.sentences()[-1]


@pytest.mark.parametrize("use_case", list(DECISION_COLUMNS))
def test_trial_without_traffic_has_no_figures(use_case: str) -> None:
    columns = DECISION_COLUMNS[use_case]
    nothing = pd.DataFrame(
        columns=[
            "decision_id",
            "customer_key",
            "decided_at",
            "scoring_ms",
            "arm",
            "error",
            *columns.decision,
            columns.score,
        ]
    )

    summary = summarise_trial(EMPTY.model_copy(update={"use_case": use_case}), nothing, nothing)

    assert (summary.compared_count, summary.agreement, summary.last_decided_at) == (0, None, None)
    assert summary.champion == ArmFigures()
    assert len(summary.sentences()) == 3


def test_trial_that_keeps_its_limits_passes() -> None:
    assert judged(good()) is True


@pytest.mark.parametrize(
    ("summary", "more"),
    [
        (None, {}),
        (good(), {"challenger_version": "v3"}),
        (good(compared_count=99), {}),
        (good(last_decided_at=None), {}),
        (good(), {"decided_on": date(2026, 12, 10)}),
        (good(challenger=ArmFigures(decisions_count=200)), {}),
    ],
)
def test_what_cannot_be_judged_does_not_pass(summary: TrialSummary | None, more: dict[str, object]) -> None:
    assert judged(summary, **more) is None


@pytest.mark.parametrize(
    "change",
    [
        {"agreement_lower": 0.89},
        {"challenger": ArmFigures(decisions_count=200, median_ms=1.0, p95_ms=10.1)},
        {"challenger": ArmFigures(decisions_count=200, median_ms=1.0, p95_ms=2.0, errors_count=1)},
    ],
)
def test_broken_limit_refuses(change: dict[str, object]) -> None:
    assert judged(good(**change)) is False


def test_criterion_can_be_named_by_an_override() -> None:
    criterion = judge_trial(None, TrialRequirement(), challenger_version="v2", decided_on=date(2026, 11, 10))

    assert criterion.name == CRITERION
    assert criterion.reason == "A trial on live traffic is demanded, but v2 had none."
