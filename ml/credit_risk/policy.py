"""What follows from a credit score: the measures of a dated policy, each with its rules, its end, and how to appeal.

`decide` is a pure function: the same policy, case and day give the same outcome, so it can be replayed. An outcome
proposes and explains; what puts a customer on a list is a record that a person makes (``register``), never a score.

Order: rules fire, then appeals, protections and caps take away, never add. So a protected customer never gets a harsher
outcome than the same customer without the protection, and no amount is above its cap.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from ml.credit_risk.policy_schema import (
    FACTS,
    HARSHNESS,
    STATUSES,
    Condition,
    CreditPolicy,
    Deposit,
    InstalmentPlan,
    Prepayment,
    Rule,
)
from ml.credit_risk.register import NOTHING_ON_RECORD, CustomerStanding
from ml.wording import Bilingual

_FEATURE_FACTS = tuple(name for name in FACTS if name != "days_since_black_list_days")
_QUARTERLY = "quarterly_billing"
_MONTHS_OF_A_QUARTER = 3
_NOTHING_ASKED = Bilingual(
    en="Nothing follows: no rule of the policy asks for a measure.", zh="无后续措施：没有规则要求采取措施。"
)
_ALL_WITHHELD = Bilingual(
    en="Nothing follows: what rules ask for is withheld.", zh="无后续措施：规则要求的措施未予执行。"
)
_ASKS_MONEY = (Deposit, Prepayment)


@dataclass(frozen=True, slots=True)
class CustomerCase:
    """What a decision knows of a customer.

    Attributes:
        probability: Calibrated probability of default.
        rating: Rating by it.
        exposure_amount: Money at stake, in the platform's currency.
        monthly_charges_amount: Mean charges of a month; ``None`` when no bill is known.
        customer_class: Class of the customer; ``None`` when it is not known.
        facts: Value by name of ``policy_schema.FACTS``; absent and ``None`` mean "not known".
        standing: What is on record.
    """

    probability: float
    rating: str
    exposure_amount: float
    monthly_charges_amount: float | None
    customer_class: str | None
    facts: Mapping[str, float | None]
    standing: CustomerStanding = NOTHING_ON_RECORD


@dataclass(frozen=True, slots=True)
class FiredRule:
    """A rule that applies, and the evidence for it.

    Attributes:
        rule_id: Its name in appeals.
        text: The rule and what met it, in words.
        text_zh: The same in Chinese.
    """

    rule_id: str
    text: str
    text_zh: str


@dataclass(frozen=True, slots=True)
class Consequence:
    """A measure that follows.

    Attributes:
        kind: One of ``policy_schema.MeasureKind``.
        amount: Money asked or asked in advance; ``None`` where there is none.
        instalments_count: Parts in which it may be paid; ``None`` where there is nothing to pay.
        takes_effect_on: First day, after the notice.
        review_on: Day by which it is looked at again.
        expires_on: First day on which it no longer holds.
        rule_ids: Rules that ask for it.
        cap_ids: Caps that lowered the amount.
        text: What follows, in words.
        text_zh: The same in Chinese.
    """

    kind: str
    amount: float | None
    instalments_count: int | None
    takes_effect_on: date
    review_on: date
    expires_on: date
    rule_ids: tuple[str, ...]
    cap_ids: tuple[str, ...]
    text: str
    text_zh: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """A measure that a rule asks for and that does not follow.

    Attributes:
        kind: The measure.
        rule_id: The rule.
        reason_code: ``protection``, ``appeal_upheld``, ``appeal_waiting``, ``charges_unknown`` or ``superseded``.
        text: Why not, in words.
        text_zh: The same in Chinese.
    """

    kind: str
    rule_id: str
    reason_code: str
    text: str
    text_zh: str


@dataclass(frozen=True, slots=True)
class ListStatus:
    """An entry on a list that holds on the day.

    Attributes:
        entry_id: The entry.
        list_name: ``red`` or ``black``.
        since: First day.
        review_on: Day of the next review, after which a black entry ends by itself.
        expires_on: Last possible end.
        rule_ids: Rules that asked for it.
    """

    entry_id: str
    list_name: str
    since: date
    review_on: date
    expires_on: date
    rule_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AppealInvitation:
    """How the outcome is contested.

    Attributes:
        where: Whom to turn to.
        where_zh: The same in Chinese.
        until: Last day on which an appeal is taken.
        decided_within_days: Days in which it is decided.
    """

    where: str
    where_zh: str
    until: date
    decided_within_days: int


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """What follows for a customer, why, until when, and how to contest it.

    Attributes:
        policy_version: Policy and the day from which its version applies.
        as_of: Day of the decision.
        expires_on: First day on which the outcome must be made anew.
        rules: Rules that applied; empty when none did.
        measures: What follows, harshest first.
        withheld: What a rule asked for and does not follow, and why.
        lists: Entries that hold.
        appeal: How to contest it.
        text: Everything that follows in one line.
        text_zh: The same in Chinese.
    """

    policy_version: str
    as_of: date
    expires_on: date
    rules: tuple[FiredRule, ...]
    measures: tuple[Consequence, ...]
    withheld: tuple[Withheld, ...]
    lists: tuple[ListStatus, ...]
    appeal: AppealInvitation
    text: str
    text_zh: str

    @property
    def harshness(self) -> tuple[int, float]:
        """How hard the outcome is: level of the harshest measure, then its amount."""
        return max(((HARSHNESS[one.kind], one.amount or 0.0) for one in self.measures), default=(0, 0.0))


def case_of(
    features: Mapping[str, Any],
    *,
    probability: float,
    rating: str,
    policy: CreditPolicy,
    as_of: date,
    standing: CustomerStanding = NOTHING_ON_RECORD,
) -> CustomerCase:
    """Return the case of a customer from the features of a snapshot or a request.

    The money at stake is the overdue balance and ``exposure_months`` of charges, which are used before supply can be
    limited.

    Args:
        features: Value by name of ``schema.FEATURES``; absent, ``None`` and NaN mean "not known".
        probability: Probability of default of these features.
        rating: Rating of these features.
        policy: The policy that will decide.
        as_of: Day of the decision.
        standing: What is on record.
    """
    facts = {
        name: value if type(value) is float and math.isfinite(value) else _known(value)
        for name in _FEATURE_FACTS
        for value in (features.get(name),)
    }
    facts["days_since_black_list_days"] = standing.days_since_black_list(as_of)
    mean_bill = _known(features.get("mean_bill_12m_amount"))
    monthly = None
    if mean_bill is not None:
        monthly = max(mean_bill, 0.0) / (_MONTHS_OF_A_QUARTER if _QUARTERLY in standing.statuses else 1)
    return CustomerCase(
        probability=probability,
        rating=rating,
        exposure_amount=exposure_amount(mean_bill, facts["unpaid_balance_ratio"], monthly, policy.exposure_months),
        monthly_charges_amount=monthly,
        customer_class=features.get("customer_class"),
        facts=facts,
        standing=standing,
    )


def exposure_amount(
    mean_bill_amount: float | None,
    unpaid_balance_ratio: float | None,
    monthly_charges_amount: float | None,
    exposure_months: float,
) -> float:
    """Return overdue balance and charges of the coming months; what is not known counts zero."""
    overdue = max(mean_bill_amount or 0.0, 0.0) * (unpaid_balance_ratio or 0.0)
    return overdue + exposure_months * (monthly_charges_amount or 0.0)


def decide(policy: CreditPolicy, case: CustomerCase, as_of: date, *, currency: str = "CNY") -> PolicyOutcome:
    """Return what a policy says of one customer on a day; for many on one day see `PolicyDay`.

    Args:
        policy: The version that applies on the day.
        case: What is known of the customer.
        as_of: The day.
        currency: ISO 4217 code of the amounts, for the texts.
    """
    return PolicyDay(policy, as_of, currency=currency).outcome(case)


class PolicyDay:
    """A policy as it applies on one day; decides any number of customers, in any thread.

    What is the same for every customer of the day is made once: how to appeal, and the measures without an amount.

    Args:
        policy: The version that applies on the day.
        as_of: The day.
        currency: ISO 4217 code of the amounts, for the texts.
    """

    def __init__(self, policy: CreditPolicy, as_of: date, *, currency: str = "CNY") -> None:
        self.policy = policy
        self.as_of = as_of
        self._currency = currency
        self._expires_on = as_of + timedelta(days=policy.outcome_valid_days)
        self._appeal = AppealInvitation(
            where=policy.appeal.where,
            where_zh=policy.appeal.where_zh,
            until=as_of + timedelta(days=policy.appeal.within_days),
            decided_within_days=policy.appeal.decided_within_days,
        )
        self._without_amount: dict[tuple[str, ...], tuple[Consequence, ...]] = {}

    def outcome(self, case: CustomerCase) -> PolicyOutcome:
        """Return what the policy says of a customer."""
        fired: list[FiredRule] = []
        standing_rules: list[Rule] = []
        withheld: list[Withheld] = []
        for rule in self.policy.rules:
            for met in rule.when:
                if _meets(case, met):
                    break
            else:
                continue
            if any(_meets(case, exception) for exception in rule.unless):
                continue
            fired.append(_fired(rule, met, case))
            reason = _reason_to_spare(self.policy, rule, case, self.as_of)
            if reason is None:
                standing_rules.append(rule)
            else:
                withheld.append(reason)
        measures, superseded = _without_superseded(self._merged(standing_rules, case), case)
        nothing = _ALL_WITHHELD if withheld or superseded else _NOTHING_ASKED
        return PolicyOutcome(
            policy_version=self.policy.version,
            as_of=self.as_of,
            expires_on=self._expires_on,
            rules=tuple(fired),
            measures=measures,
            withheld=(*withheld, *superseded),
            lists=_lists(case),
            appeal=self._appeal,
            text=" ".join([one.text for one in measures]) or nothing.en,
            text_zh="".join([one.text_zh for one in measures]) or nothing.zh,
        )

    def _merged(self, rules: Sequence[Rule], case: CustomerCase) -> tuple[Consequence, ...]:
        """Return one measure per kind: that of the rule that asks most, with every rule that asks for it."""
        key = tuple([rule.rule_id for rule in rules])
        known = self._without_amount.get(key)
        if known is not None:
            return known
        by_kind: dict[str, list[Rule]] = {}
        for rule in rules:
            by_kind.setdefault(rule.then.kind, []).append(rule)
        measures = tuple([self._consequence(asking, case) for asking in by_kind.values()])
        if all(one.amount is None for one in measures):
            self._without_amount[key] = measures
        return measures

    def _consequence(self, rules: Sequence[Rule], case: CustomerCase) -> Consequence:
        leading = max(rules, key=_asked_months)
        measure = leading.then
        months, cap_ids = _capped_months(self.policy, leading, case)
        amount = None
        if isinstance(measure, _ASKS_MONEY):
            # Rounded down, so that an amount never lies above its cap by a cent.
            amount = math.floor(100 * months * (case.monthly_charges_amount or 0.0)) / 100
        takes_effect_on = self.as_of + timedelta(days=measure.notice_days)
        expires_on = takes_effect_on + timedelta(days=measure.expires_after_days)
        text, text_zh = _words(leading, amount, takes_effect_on, expires_on, self._currency)
        return Consequence(
            kind=measure.kind,
            amount=amount,
            instalments_count=measure.instalments_count if isinstance(measure, Deposit | InstalmentPlan) else None,
            takes_effect_on=takes_effect_on,
            review_on=takes_effect_on + timedelta(days=measure.review_after_days),
            expires_on=expires_on,
            rule_ids=tuple(rule.rule_id for rule in rules),
            cap_ids=cap_ids,
            text=text,
            text_zh=text_zh,
        )


def _lists(case: CustomerCase) -> tuple[ListStatus, ...]:
    return tuple(
        [
            ListStatus(
                entry_id=one.entry.entry_id,
                list_name=one.entry.list_name,
                since=one.entry.effective_on,
                review_on=one.review_on,
                expires_on=one.entry.expires_on,
                rule_ids=one.entry.rule_ids,
            )
            for one in case.standing.entries
            if one.is_in_force
        ]
    )


def _known(value: object) -> float | None:
    if isinstance(value, (int, float)) and math.isfinite(value):
        return float(value)
    return None


def _meets(case: CustomerCase, condition: Condition) -> bool:
    facts = case.facts
    for name, least, most in condition.limits:
        value = facts.get(name)
        if value is None or not least <= value <= most:
            return False
    if condition.customer_classes and case.customer_class not in condition.customer_classes:
        return False
    if condition.ratings and case.rating not in condition.ratings:
        return False
    if condition.probability is not None and not condition.probability.holds(case.probability):
        return False
    smallest = condition.exposure_at_least_amount
    if smallest is not None and case.exposure_amount < smallest:
        return False
    return not condition.statuses or not case.standing.statuses.isdisjoint(condition.statuses)


def _fired(rule: Rule, met: Condition, case: CustomerCase) -> FiredRule:
    """Return a rule with the evidence that met it: only what the rule asked, as the customer can check it."""
    english: list[str] = []
    chinese: list[str] = []
    if met.ratings:
        english.append(f"rating {case.rating}")
        chinese.append(f"信用等级 {case.rating}")
    if met.probability is not None:
        percent = f"{100 * case.probability:.1f}"
        english.append(f"probability of default {percent} %")
        chinese.append(f"违约概率 {percent}%")
    if met.exposure_at_least_amount is not None:
        english.append(f"money at stake {case.exposure_amount:,.2f}")
        chinese.append(f"敞口金额 {case.exposure_amount:,.2f}")
    for name in met.facts:
        words, value = FACTS[name], f"{case.facts[name]:.4g}"
        english.append(f"{words.en}: {value}")
        chinese.append(f"{words.zh}：{value}")
    for status in met.statuses:
        if status in case.standing.statuses:
            english.append(f"on record: {STATUSES[status].en}")
            chinese.append(f"登记：{STATUSES[status].zh}")
    if not english:
        return FiredRule(rule.rule_id, f"{rule.name}.", f"{rule.name_zh}。")
    return FiredRule(rule.rule_id, f"{rule.name} ({'; '.join(english)}).", f"{rule.name_zh}（{'；'.join(chinese)}）。")


def _reason_to_spare(policy: CreditPolicy, rule: Rule, case: CustomerCase, as_of: date) -> Withheld | None:
    kind = rule.then.kind
    for appeal in case.standing.appeals:
        name = appeal.appeal.appeal_id
        if appeal.spares(rule.rule_id, as_of):
            return Withheld(
                kind, rule.rule_id, "appeal_upheld", f"Appeal {name} was upheld.", f"申诉 {name} 已获支持。"
            )
        if appeal.is_waiting and rule.rule_id in appeal.appeal.rule_ids and kind in policy.appeal.suspends:
            return Withheld(
                kind, rule.rule_id, "appeal_waiting", f"Appeal {name} is not decided yet.", f"申诉 {name} 尚未裁定。"
            )
    for protection in policy.protections:
        if kind not in protection.forbids:
            continue
        if protection.customer_classes and case.customer_class not in protection.customer_classes:
            continue
        if protection.statuses and case.standing.statuses.isdisjoint(protection.statuses):
            continue
        if any(_meets(case, exception) for exception in protection.unless):
            continue
        return Withheld(kind, rule.rule_id, "protection", f"{protection.name}.", f"{protection.name_zh}。")
    if isinstance(rule.then, _ASKS_MONEY) and not case.monthly_charges_amount:
        return Withheld(
            kind,
            rule.rule_id,
            "charges_unknown",
            "The customer's charges are not known, so no amount can be asked.",
            "客户电费未知，无法确定金额。",
        )
    return None


def _asked_months(rule: Rule) -> float:
    return rule.then.months_of_charges if isinstance(rule.then, _ASKS_MONEY) else 0.0


def _capped_months(policy: CreditPolicy, rule: Rule, case: CustomerCase) -> tuple[float, tuple[str, ...]]:
    """Return the months of charges that may be asked, and the caps that are below what the rule asks."""
    asked = _asked_months(rule)
    binding = [
        cap
        for cap in policy.caps
        if cap.kind == rule.then.kind
        and cap.months_of_charges < asked
        and (not cap.customer_classes or case.customer_class in cap.customer_classes or case.customer_class is None)
        and (not cap.statuses or not case.standing.statuses.isdisjoint(cap.statuses))
    ]
    return min([asked, *(cap.months_of_charges for cap in binding)]), tuple(cap.cap_id for cap in binding)


def _words(rule: Rule, amount: float | None, takes_effect_on: date, expires_on: date, currency: str) -> tuple[str, str]:
    measure, start, until = rule.then, takes_effect_on.isoformat(), expires_on.isoformat()
    if isinstance(measure, Deposit):
        parts = f", in up to {measure.instalments_count} instalments" if measure.instalments_count > 1 else ""
        parts_zh = f"，可分 {measure.instalments_count} 期" if measure.instalments_count > 1 else ""
        refund, refund_zh = "", ""
        if measure.refund is not None:
            interest = " with interest" if measure.refund.with_interest else ""
            refund = (
                f" It goes back{interest} after {measure.refund.after_months} months with at most "
                f"{measure.refund.late_bills_at_most} late bills."
            )
            refund_zh = (
                f"{measure.refund.after_months} 个月内逾期不超过 {measure.refund.late_bills_at_most} 笔即"
                f"{'连同利息' if measure.refund.with_interest else ''}退还。"
            )
        return (
            f"A deposit of {amount:,.2f} {currency} from {start}{parts}, until {until}.{refund}",
            f"自 {start} 起缴纳押金 {amount:,.2f} {currency}{parts_zh}，至 {until}。{refund_zh}",
        )
    if isinstance(measure, Prepayment):
        return (
            f"Energy is paid in advance, {amount:,.2f} {currency} at a time, from {start} until {until}.",
            f"自 {start} 起预购电，每次 {amount:,.2f} {currency}，至 {until}。",
        )
    if isinstance(measure, InstalmentPlan):
        return (
            f"What is overdue may be paid in up to {measure.instalments_count} instalments, an offer until {until}.",
            f"欠费可分至多 {measure.instalments_count} 期缴纳，有效期至 {until}。",
        )
    simple = {
        "reminder": (f"Reminders of bills until {until}.", f"至 {until} 发送缴费提醒。"),
        "red_list": (
            f"Proposed for the red list from {start} until {until}; a person confirms the entry.",
            f"建议自 {start} 列入红名单，至 {until}，须人工确认。",
        ),
        "black_list": (
            f"Notice of an entry on the black list, not before {start} and until {until} at the latest; a person must "
            "confirm it.",
            f"黑名单列入通知：不早于 {start}，最迟至 {until}，须人工确认。",
        ),
    }
    return simple[measure.kind]


def _without_superseded(
    measures: tuple[Consequence, ...], case: CustomerCase
) -> tuple[tuple[Consequence, ...], tuple[Withheld, ...]]:
    """Take away what contradicts another measure or repeats an entry that holds; the harshest comes first."""
    if len(measures) + len(case.standing.entries) < 2:
        return measures, ()
    found = {one.kind: one for one in measures}
    listed = {one.entry.list_name for one in case.standing.entries if one.is_in_force}
    withheld = []
    for kind, list_name in (("black_list", "black"), ("red_list", "red")):
        if list_name in listed and kind in found:
            withheld.append((found.pop(kind), "The entry is on record already.", "已有登记。"))
    if "deposit" in found and "prepayment" in found:
        withheld.append((found.pop("deposit"), "Who pays in advance leaves no deposit.", "预购电客户不再缴押金。"))
    if "red_list" in found and ("black" in listed or any(HARSHNESS[kind] > 1 for kind in found)):
        withheld.append((found.pop("red_list"), "Not beside a burden or a black entry.", "与限制措施不能并存。"))
    return tuple(sorted(found.values(), key=lambda one: -HARSHNESS[one.kind])), tuple(
        [
            Withheld(one.kind, rule_id, "superseded", text, text_zh)
            for one, text, text_zh in withheld
            for rule_id in one.rule_ids
        ]
    )
