"""The credit policy as a document: dated rules in YAML, each with what it asks, what follows, and until when.

A policy says who is protected from what, which rules ask for which measure, what caps every amount, and how a customer
appeals. What a document cannot say precisely is refused with the field's path. ``policy.decide`` applies it.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml.columns import CUSTOMER_CLASSES
from ml.errors import KilowiseError
from ml.wording import Bilingual

POLICIES_DIRECTORY = Path(__file__).parent / "policies"

MeasureKind = Literal["red_list", "reminder", "instalment_plan", "deposit", "prepayment", "black_list"]

HARSHNESS: Mapping[str, int] = {
    "red_list": 0,
    "instalment_plan": 0,
    "reminder": 1,
    "deposit": 2,
    "prepayment": 3,
    "black_list": 4,
}
"""How hard a measure is on the customer; 0 is a relief or a benefit."""

FACTS: Mapping[str, Bilingual] = {
    "late_bills_12m_count": Bilingual(en="late bills of 12 months", zh="近十二月逾期笔数"),
    "late_bills_3m_count": Bilingual(en="late bills of 3 months", zh="近三月逾期笔数"),
    "overdue_30d_bills_12m_count": Bilingual(
        en="bills of 12 months that were unpaid 30 days after the due date", zh="近十二月逾期三十日以上笔数"
    ),
    "max_days_late_12m_days": Bilingual(en="largest days late of 12 months", zh="近十二月最长逾期天数"),
    "months_since_overdue_30d_months": Bilingual(
        en="months since a bill was last unpaid after 30 days", zh="距上次严重逾期月数"
    ),
    "unpaid_balance_ratio": Bilingual(en="overdue balance in mean bills", zh="欠费余额与月均电费之比"),
    "on_time_share_12m_pct": Bilingual(en="percent of the bills of 12 months paid on time", zh="近十二月按期缴清占比"),
    "returned_payments_12m_count": Bilingual(
        en="payments for bills of 12 months that were taken back", zh="近十二月退票次数"
    ),
    "confirmed_breaches_24m_count": Bilingual(
        en="inspections of 24 months that found theft or tampering", zh="近二十四月查实违约用电次数"
    ),
    "tenure_months": Bilingual(en="months on supply", zh="立户月数"),
    "bills_12m_count": Bilingual(en="bills of 12 months", zh="近十二月账单数"),
    "days_since_black_list_days": Bilingual(en="days since the black list, 0 while on it", zh="距黑名单移出天数"),
}
"""What a rule may ask: features that a customer can check on the own bills, and the time since the last entry."""

STATUSES: Mapping[str, Bilingual] = {
    "low_income": Bilingual(en="low-income household", zh="低保户"),
    "public_assistance": Bilingual(en="recipient of public assistance", zh="公共救助对象"),
    "extreme_poverty": Bilingual(en="household in extreme poverty", zh="特困供养（五保）户"),
    "elderly": Bilingual(en="elderly", zh="高龄客户"),
    "disabled": Bilingual(en="blind or disabled", zh="残障客户"),
    "life_support": Bilingual(en="life-support equipment at home", zh="居家生命支持设备用户"),
    "seasonal": Bilingual(en="seasonal supply", zh="季节性用电"),
    "disconnected": Bilingual(en="supply was cut off for arrears", zh="曾因欠费停电"),
    "returned_payment": Bilingual(en="a payment was returned", zh="曾发生退票"),
    "broken_plan": Bilingual(en="an instalment plan was broken", zh="未履行分期协议"),
    "breach_of_contract": Bilingual(en="breach of the supply contract", zh="违反供用电合同"),
    "unsigned_contract": Bilingual(en="contract unsigned after a change of use", zh="变更用电后未签合同"),
    "accident_caused": Bilingual(en="caused an accident on the network", zh="引发电网事故"),
    "hazard_not_fixed": Bilingual(en="safety hazard not fixed", zh="隐患未整改"),
    "quarterly_billing": Bilingual(en="billed every quarter", zh="按季抄表"),
    "small_business": Bilingual(en="small business", zh="小微企业"),
}
"""What a person may record of a customer for some time (``register.StatusRecord``)."""

PROTECTIVE_STATUSES = frozenset(
    {"low_income", "public_assistance", "extreme_poverty", "elderly", "disabled", "life_support"}
)
"""Statuses that say that somebody is vulnerable; they may spare a customer, never burden one."""

StatusName = Annotated[str, Field(json_schema_extra={"enum": list(STATUSES)})]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,59}$")]
Text = Annotated[str, Field(min_length=3, max_length=400)]
Days = Annotated[int, Field(ge=1, le=3660)]
CustomerClass = Literal["residential", "commercial", "industrial", "agricultural"]
Rating = Literal["AAA", "AA", "A", "BBB", "BB", "B", "C", "D"]


class PolicyError(KilowiseError):
    """A policy says something that cannot be applied, or there is none; the message names file and field."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bound(_Part):
    """Limits of one fact, both inclusive.

    Attributes:
        at_least: Smallest value that meets the condition.
        at_most: Largest value that meets the condition.
    """

    at_least: float | None = Field(default=None, allow_inf_nan=False)
    at_most: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least:g} is above at_most {self.at_most:g}, so nobody can meet it")
        return self

    def holds(self, value: float) -> bool:
        """Return whether a value lies within the limits."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


def _known(names: Sequence[str], known: Mapping[str, object], what: str) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no {what}; there are: {', '.join(known)}")


class Condition(_Part):
    """What a customer must meet: everything that is given here. A fact that is not known is never met.

    Attributes:
        customer_classes: The class is one of these; empty for every class.
        ratings: The rating is one of these; empty for every rating.
        probability: Limits of the probability of default.
        exposure_at_least_amount: Smallest money at stake.
        facts: Limits by name of a fact.
        statuses: At least one of these is recorded.
    """

    customer_classes: tuple[CustomerClass, ...] = ()
    ratings: tuple[Rating, ...] = ()
    probability: Bound | None = None
    exposure_at_least_amount: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    facts: dict[str, Bound] = Field(default_factory=dict)
    statuses: tuple[StatusName, ...] = ()

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        _known(list(self.facts), FACTS, "fact")
        _known(self.statuses, STATUSES, "status")
        return self

    @cached_property
    def limits(self) -> tuple[tuple[str, float, float], ...]:
        """Facts with their smallest and largest value; infinite where there is no limit."""
        return tuple(
            (
                name,
                -math.inf if bound.at_least is None else bound.at_least,
                math.inf if bound.at_most is None else bound.at_most,
            )
            for name, bound in self.facts.items()
        )

    @property
    def asks_evidence(self) -> bool:
        """Whether it asks more than the class of the customer."""
        return bool(
            self.ratings
            or self.facts
            or self.statuses
            or self.probability is not None
            or self.exposure_at_least_amount is not None
        )


class _Measure(_Part):
    notice_days: int = Field(ge=0, le=365, description="Days from the notice until it takes effect")
    review_after_days: Days
    expires_after_days: Days

    @model_validator(mode="after")
    def _reviewed_before_it_ends(self) -> Self:
        if self.review_after_days > self.expires_after_days:
            raise ValueError(
                f"review_after_days {self.review_after_days} is after expires_after_days {self.expires_after_days}; "
                "review it before it ends"
            )
        return self


class Reminder(_Measure):
    """A friendly reminder before or after the due date."""

    kind: Literal["reminder"]


class InstalmentPlan(_Measure):
    """An offer to pay what is overdue in parts; a relief, never an obligation."""

    kind: Literal["instalment_plan"]
    instalments_count: int = Field(ge=2, le=36)


class Refund(_Part):
    """When a deposit goes back before it ends."""

    after_months: int = Field(ge=1, le=60)
    late_bills_at_most: int = Field(ge=0, le=12)
    with_interest: bool


class Deposit(_Measure):
    """A sum that the customer leaves as security."""

    kind: Literal["deposit"]
    months_of_charges: float = Field(gt=0, le=12, allow_inf_nan=False)
    instalments_count: int = Field(default=1, ge=1, le=12)
    refund: Refund | None = None


class Prepayment(_Measure):
    """Energy is paid before it is used."""

    kind: Literal["prepayment"]
    months_of_charges: float = Field(gt=0, le=3, allow_inf_nan=False)


class RedListEntry(_Measure):
    """A mark for paying well, with service benefits."""

    kind: Literal["red_list"]


class BlackListEntry(_Measure):
    """A notice of an entry: nobody is listed in silence, so notice, review and end are demanded."""

    kind: Literal["black_list"]
    notice_days: int = Field(ge=7, le=365)


Measure = Annotated[
    Reminder | InstalmentPlan | Deposit | Prepayment | RedListEntry | BlackListEntry, Field(discriminator="kind")
]


class Rule(_Part):
    """One rule: whoever meets one of its conditions, and no exception, gets its measure.

    Attributes:
        rule_id: Name of the rule in outcomes, appeals and reports.
        name: The rule in words.
        name_zh: The same in Chinese.
        when: Alternatives; one is enough.
        unless: Exceptions; one is enough to spare the customer.
        then: What follows.
    """

    rule_id: Identifier
    name: Text
    name_zh: Text
    when: tuple[Condition, ...] = Field(min_length=1)
    unless: tuple[Condition, ...] = ()
    then: Measure

    @model_validator(mode="after")
    def _burdens_need_evidence(self) -> Self:
        if HARSHNESS[self.then.kind] > 1 and not all(condition.asks_evidence for condition in self.when):
            raise ValueError(f"a {self.then.kind} needs evidence: give ratings, facts or statuses in each `when`")
        vulnerable = {status for condition in self.when for status in condition.statuses} & PROTECTIVE_STATUSES
        if HARSHNESS[self.then.kind] > 1 and vulnerable:
            raise ValueError(f"a {self.then.kind} may not rest on the status {min(vulnerable)!r}, which protects")
        return self


class Protection(_Part):
    """Who is spared which measures.

    Attributes:
        protection_id: Name in outcomes.
        name: In words.
        name_zh: The same in Chinese.
        statuses: Whoever has one of these on record.
        customer_classes: Whoever is of one of these classes; empty for every class.
        forbids: Measures that such a customer never gets.
        unless: Exceptions, such as a supply that was cut off.
    """

    protection_id: Identifier
    name: Text
    name_zh: Text
    statuses: tuple[StatusName, ...] = ()
    customer_classes: tuple[CustomerClass, ...] = ()
    forbids: tuple[MeasureKind, ...] = Field(min_length=1)
    unless: tuple[Condition, ...] = ()

    @model_validator(mode="after")
    def _protects_somebody(self) -> Self:
        _known(self.statuses, STATUSES, "status")
        if not self.statuses and not self.customer_classes:
            raise ValueError("give statuses, customer_classes or both: whom does it protect?")
        return self


class Cap(_Part):
    """The most that a deposit or a prepayment may be.

    Attributes:
        cap_id: Name in outcomes.
        name: In words.
        name_zh: The same in Chinese.
        kind: Measure whose amount it limits.
        months_of_charges: Largest amount in months of the customer's charges (a sixth of a year's charges is 2).
        customer_classes: Whose; empty for every class.
        statuses: Only whoever has one of these; empty for everybody.
    """

    cap_id: Identifier
    name: Text
    name_zh: Text
    kind: Literal["deposit", "prepayment"]
    # Nothing at all is a protection, which an outcome can name.
    months_of_charges: float = Field(gt=0, le=12, allow_inf_nan=False)
    customer_classes: tuple[CustomerClass, ...] = ()
    statuses: tuple[StatusName, ...] = ()

    @model_validator(mode="after")
    def _statuses_are_known(self) -> Self:
        _known(self.statuses, STATUSES, "status")
        return self


class AppealPath(_Part):
    """How a customer contests an outcome.

    Attributes:
        where: Whom to turn to, in words.
        where_zh: The same in Chinese.
        within_days: Days after the outcome in which an appeal is taken.
        decided_within_days: Days in which it is decided.
        suspends: Measures that wait for the decision.
        upheld_for_days: How long an upheld appeal spares the customer from the contested rules.
    """

    where: Text
    where_zh: Text
    within_days: Days
    decided_within_days: Days
    suspends: tuple[MeasureKind, ...] = ()
    upheld_for_days: Days


class Source(_Part):
    """Where a policy's figures come from.

    Attributes:
        text: Law, rule or decision.
        is_verified: Whether a person read it in the official text.
    """

    text: Text
    is_verified: bool


class CreditPolicy(_Part):
    """A dated credit policy of one jurisdiction.

    Attributes:
        policy_id: How it is chosen.
        valid_from: First day on which this version applies.
        jurisdiction: Country, or country and state, such as ``CN`` or ``US-NY``.
        outcome_valid_days: Days after which an outcome must be made anew.
        exposure_months: Months of charges that come on top of the overdue balance before supply can be limited.
        sources: Where the figures come from.
        protections: Who is spared which measures; at least one.
        caps: The most that amounts may be; each kind of amount that a rule asks needs one for everybody.
        rules: The rules.
        appeal: How a customer contests an outcome.
    """

    policy_id: Identifier
    name: Text
    name_zh: Text
    valid_from: date
    jurisdiction: str = Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")
    outcome_valid_days: int = Field(ge=1, le=366)
    exposure_months: float = Field(ge=0, le=12, allow_inf_nan=False)
    sources: tuple[Source, ...] = Field(min_length=1)
    protections: tuple[Protection, ...] = Field(min_length=1)
    caps: tuple[Cap, ...] = ()
    rules: tuple[Rule, ...] = Field(min_length=1)
    appeal: AppealPath

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = [
            *(("rule_id", rule.rule_id) for rule in self.rules),
            *(("cap_id", cap.cap_id) for cap in self.caps),
            *(("protection_id", one.protection_id) for one in self.protections),
        ]
        for what, name in names:
            if names.count((what, name)) > 1:
                raise ValueError(f"{what} {name} is given twice; outcomes could not tell which one applied")
        for kind in ("deposit", "prepayment"):
            covers_all = any(cap.kind == kind and not cap.customer_classes and not cap.statuses for cap in self.caps)
            covered = {
                name for cap in self.caps if cap.kind == kind and not cap.statuses for name in cap.customer_classes
            }
            if any(rule.then.kind == kind for rule in self.rules) and not (
                covers_all or covered >= set(CUSTOMER_CLASSES)
            ):
                raise ValueError(f"caps: a rule asks for a {kind}, so a cap on it must cover every customer class")
        return self

    @cached_property
    def version(self) -> str:
        """The policy and the day from which this version applies."""
        return f"{self.policy_id}@{self.valid_from.isoformat()}"


def load_policies(paths: Sequence[Path] = ()) -> tuple[CreditPolicy, ...]:
    """Read the built-in policies and those of further files or folders.

    Args:
        paths: YAML files, or folders of them; one policy a file.

    Raises:
        PolicyError: A file cannot be read or says what cannot be; the message names file and field.
    """
    found = dict(_built_in())
    for path in paths:
        if not path.exists():
            raise PolicyError(f"There is no policy file {path}; correct the path, or leave it out.")
        found |= {file: _read(file) for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])}
    versions = [policy.version for policy in found.values()]
    for file, policy in found.items():
        if versions.count(policy.version) > 1:
            raise PolicyError(f"{file.name}: {policy.version} is given in two files; change valid_from of one of them.")
    return tuple(found.values())


def policy_on(policies: Sequence[CreditPolicy], policy_id: str, day: date) -> CreditPolicy:
    """Return the version of a policy that applies on a day.

    Raises:
        PolicyError: No version of it applies on that day.
    """
    started = [policy for policy in policies if policy.policy_id == policy_id and policy.valid_from <= day]
    if not started:
        others = sorted({policy.policy_id for policy in policies if policy.valid_from <= day})
        raise PolicyError(
            f"No credit policy {policy_id!r} applies on {day}; there are: {', '.join(others) or 'none'}. Choose one "
            "with KILOWISE_CREDIT_POLICY, or add a version with an earlier valid_from."
        )
    return max(started, key=lambda policy: policy.valid_from)


@cache
def _built_in() -> Mapping[Path, CreditPolicy]:
    return {file: _read(file) for file in sorted(POLICIES_DIRECTORY.glob("*.yaml"))}


def _read(file: Path) -> CreditPolicy:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyError(f"{file.name}: cannot be read as YAML ({error})") from error
    try:
        return CreditPolicy.model_validate(document)
    except ValidationError as error:
        problems = [
            f"{file.name}: {_field_path(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False)
        ]
        raise PolicyError("\n".join(problems)) from error


def _field_path(location: tuple[int | str, ...]) -> str:
    """Return where a problem is, as it is written: ``rules[2].then.notice_days``."""
    path = ""
    for position, part in enumerate(location):
        if isinstance(part, int):
            path += f"[{part}]"
        # The name of a kind is pydantic's step into it, and is not written in the file.
        elif not (position and location[position - 1] == "then" and part in HARSHNESS):
            path += f".{part}" if path else str(part)
    return path or "document"
