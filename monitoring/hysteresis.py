"""Keeps a model's outcome from going back and forth: a watch ends after enough stable months in a row.

An outcome rises at once, because a warning that waits a month is a month late. *Act* is never held: it asks for work,
for which the month itself must hold a cause. What is held is *watch*: a month that is stable by its own findings is
called watch until ``calm_months`` stable months in a row have been seen. A month without enough data is neither calm
nor loud; it is said to be so, and passed over when months are counted. Another release starts without memory, because
its reference is another one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from monitoring.policy import HysteresisRule
from monitoring.verdicts import OUTCOME_WORDS, Outcome, Reason, Verdict, read_verdicts


@dataclass(frozen=True)
class JudgedMonth:
    """What the findings of one month alone led to."""

    month: date
    outcome: Outcome


def earlier_months(reports_dir: Path, use_case: str, release: str, month: date) -> tuple[JudgedMonth, ...]:
    """Return what the months before one led to by themselves, under the same release, the latest first."""
    table = read_verdicts(reports_dir)
    rows = table.filter(
        (table["use_case"] == use_case) & (table["release"] == release) & (table["month"] < month)
    ).sort("month", descending=True)
    return tuple(JudgedMonth(*row) for row in rows.select("month", "finding_outcome").iter_rows())


def held_month(outcome: Outcome, earlier: Sequence[JudgedMonth], rule: HysteresisRule) -> JudgedMonth | None:
    """Return the month whose watch or act still holds, or None.

    Args:
        outcome: What the month alone leads to.
        earlier: What the months before it led to by themselves, the latest first.
        rule: How many stable months in a row end a watch.
    """
    if outcome != "stable":
        return None
    calm = 1
    for judged in earlier:
        if calm >= rule.calm_months:
            return None
        if judged.outcome in ("watch", "act"):
            return judged
        calm += judged.outcome == "stable"
    return None


def hold(verdict: Verdict, earlier: Sequence[JudgedMonth], rule: HysteresisRule) -> Verdict:
    """Return the verdict with the outcome that holds for the model, and with a finding that says why if it is held.

    Args:
        verdict: Verdict by the findings of its month alone.
        earlier: What the months before it led to by themselves, the latest first.
        rule: How many stable months in a row end a watch.
    """
    held = held_month(verdict.finding_outcome, earlier, rule)
    if held is None:
        return verdict
    calm = 1 + sum(judged.outcome == "stable" for judged in earlier if judged.month > held.month)
    word, word_zh = OUTCOME_WORDS[held.outcome]
    reason = Reason(
        code="held_watch",
        severity="watch",
        sentence_en=f"{held.month:%Y-%m} was “{word}”. This month alone is stable: {calm} of the {rule.calm_months} "
        "stable months in a row that end the watch.",
        sentence_zh=f"{held.month:%Y-%m} 为“{word_zh}”。本月单独看为稳定：连续 {rule.calm_months} 个月稳定后结束关注，"
        f"目前为第 {calm} 个月。",
    )
    return verdict.model_copy(
        update={"outcome": "watch", "held_since": held.month, "reasons": (reason, *verdict.reasons)}
    )
