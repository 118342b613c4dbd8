"""The part of a credit answer that says what follows by the policy; the values come from ``ml.credit_risk.policy``."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ml.credit_risk.policy_schema import MeasureKind


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PolicyRule(_Part):
    """A rule that applied, with the evidence for it."""

    rule_id: str = Field(description="Name of the rule; quote it in an appeal")
    text: str = Field(description="The rule and what met it")
    text_zh: str = Field(description="The same in Chinese / 中文说明")


class PolicyMeasure(_Part):
    """A measure that follows."""

    kind: MeasureKind = Field(description="What follows, for programs")
    amount: float | None = Field(description="Money asked, or asked in advance; null where there is none [currency]")
    instalments_count: int | None = Field(description="Parts in which it may be paid; null where nothing is to pay")
    takes_effect_on: date = Field(description="First day, after the notice")
    review_on: date = Field(description="Day by which it is looked at again")
    expires_on: date = Field(description="First day on which it no longer holds")
    rule_ids: list[str] = Field(description="Rules that ask for it")
    cap_ids: list[str] = Field(description="Caps that lowered the amount")
    text: str = Field(description="What follows, in words")
    text_zh: str = Field(description="The same in Chinese / 中文说明")


class PolicyWithheld(_Part):
    """A measure that a rule asks for and that does not follow."""

    kind: MeasureKind = Field(description="The measure")
    rule_id: str = Field(description="The rule")
    reason_code: Literal["protection", "appeal_upheld", "appeal_waiting", "charges_unknown", "superseded"] = Field(
        description="Why not, for programs"
    )
    text: str = Field(description="Why not")
    text_zh: str = Field(description="The same in Chinese / 中文说明")


class PolicyList(_Part):
    """An entry on the red or black list that holds today."""

    entry_id: str = Field(description="Id of the entry")
    list_name: Literal["red", "black"] = Field(description="The list")
    since: date = Field(description="First day")
    review_on: date = Field(description="Next review; a black entry without one ends there")
    expires_on: date = Field(description="Last possible end")
    rule_ids: list[str] = Field(description="Rules that asked for it")


class PolicyAppeal(_Part):
    """How the outcome is contested."""

    where: str = Field(description="Whom to turn to")
    where_zh: str = Field(description="The same in Chinese / 申诉渠道")
    until: date = Field(description="Last day on which an appeal is taken")
    decided_within_days: int = Field(description="Days in which it is decided")


class CreditPolicyOutcome(_Part):
    """What follows for the customer, why, until when, and how to contest it."""

    policy_version: str = Field(description="Policy and first day of its version", examples=["cn_local@2024-01-01"])
    as_of: date = Field(description="Day of the decision")
    expires_on: date = Field(description="First day on which the outcome must be asked for again")
    rules: list[PolicyRule] = Field(description="Rules that applied; empty when none did")
    measures: list[PolicyMeasure] = Field(description="What follows, the harshest first")
    withheld: list[PolicyWithheld] = Field(description="What a rule asked for and does not follow")
    lists: list[PolicyList] = Field(description="List entries that hold")
    appeal: PolicyAppeal = Field(description="How to contest the outcome")
    text: str = Field(description="Everything that follows, in one line")
    text_zh: str = Field(description="The same in Chinese / 中文说明")
