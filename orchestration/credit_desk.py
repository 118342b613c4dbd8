"""What the credit desk does from the command line: show an outcome, record statuses, entries and appeals, decide.

Each step adds one record to the credit register (``ml.credit_risk.register``); nothing is ever changed in place. No
Dagster in here.
"""

import argparse
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, get_args
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError

from ml.errors import KilowiseError
from orchestration.credit_policy import chosen_policy
from orchestration.ingestion.pseudonym import customer_key
from orchestration.marts import current_marts
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    from ml.credit_risk.policy import PolicyOutcome
    from ml.credit_risk.register import Record

Say = Callable[[str], None]
_R = TypeVar("_R", bound=BaseModel)


class CreditDeskError(KilowiseError):
    """What was asked of the credit desk cannot be done; the message says what to give instead."""


def add_commands(commands: Any) -> None:
    """Add ``credit`` with its verbs to the command line."""
    credit = commands.add_parser("credit", help="the credit desk: outcomes, statuses, list entries, appeals")
    verbs = credit.add_subparsers(dest="verb", required=True, metavar="verb")

    def verb(name: str, text: str, *positional: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = verbs.add_parser(name, help=text)
        for argument in positional:
            parser.add_argument(argument, metavar=argument.upper())
        return parser

    verb("show", "what follows for a customer today, and what is on record", "customer_id")
    status = verb("status", "record a status, such as a protection", "customer_id", "status")
    status.add_argument("--from", dest="valid_from", type=_day, help="first day; default today")
    status.add_argument("--until", dest="valid_until", type=_day, required=True, help="its end")
    entry = verb("enter", "record a notice and an entry that the policy proposes", "customer_id", "list_name")
    entry.add_argument("--notified", dest="notified_on", type=_day, help="day of the notice; default today")
    review = verb("review", "review an entry: keep or remove", "entry_id", "decision")
    review.add_argument("--next", dest="next_review_on", type=_day, help="next review, to keep it")
    appeal = verb("appeal", "record that a customer contests rules", "customer_id")
    appeal.add_argument(
        "--rule", dest="rule_ids", action="append", required=True, help="contested rule; may be repeated"
    )
    appeal.add_argument("--ground", required=True, help="why, as a code")
    contested = appeal.add_mutually_exclusive_group()
    contested.add_argument("--request-id", default="", help="contested answer of the API")
    contested.add_argument(
        "--outcome-on",
        type=_day,
        help="day of the contested outcome; default: of the notice of an entry that rests on the rules, else today",
    )
    appeal.add_argument("--late-because", dest="late_reason", help="why a late appeal is taken, as a code")
    appeal.add_argument("--allowed-by", dest="late_allowed_by", help="who allows a late appeal")
    verb("decide", "decide an appeal: upheld or rejected", "appeal_id", "decision")
    due = verb("due", "appeals to decide and entries to review")
    due.add_argument("--within-days", type=int, default=14, help="days ahead to look; default 14")
    for name, parser in verbs.choices.items():
        if name not in ("show", "due"):
            parser.add_argument("--by", dest="recorded_by", required=True, help="who records it")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write it as 2026-09-30") from None


def run_command(parsed: argparse.Namespace, settings: PlatformSettings, say: Say) -> int:
    """Do what was asked and say it in sentences; none of them names the customer."""
    today = datetime.now(ZoneInfo(settings.time_zone)).date()
    if parsed.verb == "show":
        for sentence in described(settings, parsed.customer_id, today):
            say(sentence)
        return 0
    if parsed.verb == "due":
        until = today + timedelta(days=parsed.within_days)
        for sentence in due_sentences(settings, today, until) or [f"Nothing is due until {until}."]:
            say(sentence)
        return 0
    say(_RECORDERS[parsed.verb](parsed, settings, today))
    return 0


def described(settings: PlatformSettings, customer_id: str, today: date) -> list[str]:
    """Return what follows for a customer, why, and what is on record, in sentences."""
    from ml.credit_risk.register import Register

    key = _known_key(settings, customer_id)
    standing = Register.read(settings.credit_register_path).standing(key, today)
    scores = _scores(settings, key)
    lines = []
    if not scores:
        lines.append("No file of scores has the customer, so the policy says nothing.")
    else:
        outcome = _outcome(settings, key, scores[-1], today)
        lines.append(_rating_sentence(scores))
        lines += [f"{outcome.policy_version}, as of {outcome.as_of}: {outcome.text}", outcome.text_zh]
        lines += [f"rule {rule.rule_id}: {rule.text} {rule.text_zh}" for rule in outcome.rules]
        lines += [
            f"withheld {one.kind} of {one.rule_id}: {one.text} {one.text_zh} ({one.reason_code})"
            for one in outcome.withheld
        ]
        lines.append(f"Appeal until {outcome.appeal.until}: {outcome.appeal.where}. {outcome.appeal.where_zh}。")
    lines += [f"status: {status}" for status in sorted(standing.statuses)]
    for entry in standing.entries:
        state = "holds" if entry.is_in_force else "does not hold"
        lines.append(
            f"entry {entry.entry.entry_id} on the {entry.entry.list_name} list from {entry.entry.effective_on}, "
            f"{state}; without a further review until {entry.ends_on}"
        )
    for appeal in standing.appeals:
        decided = appeal.decision
        became = "waits" if decided is None else f"{decided.decision} on {decided.decided_on}"
        effect = f", in effect until {decided.expires_on}" if decided is not None and decided.expires_on else ""
        lines.append(f"appeal {appeal.appeal.appeal_id} against {', '.join(appeal.appeal.rule_ids)}: {became}{effect}")
    return lines


def due_sentences(settings: PlatformSettings, today: date, until: date) -> list[str]:
    """Return which appeals wait for a decision and which entries for a review up to a day, the most urgent first."""
    from ml.credit_risk.register import Register

    register = Register.read(settings.credit_register_path)
    found: list[tuple[date, str]] = []
    for key in register.records:
        standing = register.standing(key, today)
        for waiting in (one.appeal for one in standing.appeals if one.is_waiting):
            policy = chosen_policy(settings, waiting.filed_on, waiting.policy_version.partition("@")[0])
            decide_by = waiting.filed_on + timedelta(days=policy.appeal.decided_within_days)
            found.append((decide_by, f"appeal {waiting.appeal_id} of {waiting.filed_on}: decide by {decide_by}"))
        for entry in (one for one in standing.entries if today < one.ends_on and one.review_on < one.entry.expires_on):
            name = f"entry {entry.entry.entry_id} on the {entry.entry.list_name} list"
            end = ", or it ends there" if entry.review_on == entry.ends_on else ""
            found.append((entry.review_on, f"{name}: review by {entry.review_on}{end}"))
    return [f"{text}{' (overdue)' if day < today else ''}." for day, text in sorted(found) if day <= until]


def latest_outcome(settings: PlatformSettings, key: str, today: date) -> "PolicyOutcome | None":
    """Return what the policy says of a customer by the latest score; ``None`` when there is none."""
    scores = _scores(settings, key)
    return _outcome(settings, key, scores[-1], today) if scores else None


def _scores(settings: PlatformSettings, key: str) -> list[dict[str, Any]]:
    """Return the features and scores of a customer by as-of month, oldest first; who left has earlier months only."""
    import pandas as pd

    files = (settings.predictions_dir / "batch" / "credit_risk").glob("as_of_month=*/predictions.parquet")
    found = [pd.read_parquet(file, filters=[("customer_key", "==", key)], partitioning=None) for file in sorted(files)]
    return [{str(name): value for name, value in row.items()} for rows in found for row in rows.to_dict("records")]


def _outcome(settings: PlatformSettings, key: str, score: dict[str, Any], today: date) -> "PolicyOutcome":
    from ml.credit_risk.policy import case_of, decide
    from ml.credit_risk.rating import rating_of
    from ml.credit_risk.register import Register

    policy = chosen_policy(settings, today)
    case = case_of(
        score,
        probability=float(score["default_probability"]),
        rating=rating_of(score),
        policy=policy,
        as_of=today,
        standing=Register.read(settings.credit_register_path).standing(key, today),
    )
    return decide(policy, case, today, currency=settings.currency)


def _rating_sentence(scores: list[dict[str, Any]]) -> str:
    from ml.credit_risk.rating import rating_of

    months = ", ".join(f"{score['as_of_month']:%Y-%m} {rating_of(score)}" for score in scores)
    return (
        f"Rating in force by month: {months}; probability of default {100 * scores[-1]['default_probability']:.1f} %."
    )


def record_status(parsed: argparse.Namespace, settings: PlatformSettings, today: date) -> str:
    """Record a status of a customer."""
    from ml.credit_risk.register import StatusRecord

    record = _made(
        StatusRecord,
        recorded_by=parsed.recorded_by,
        customer_key=_known_key(settings, parsed.customer_id),
        status=parsed.status,
        valid_from=parsed.valid_from or today,
        valid_until=parsed.valid_until,
    )
    _append(settings, record)
    return f"Recorded: {record.status} from {record.valid_from} until {record.valid_until}."


def record_entry(parsed: argparse.Namespace, settings: PlatformSettings, today: date) -> str:
    """Record the notice of an entry that the policy proposes for the customer; nobody else can be listed."""
    from ml.credit_risk.register import ListEntry

    if parsed.list_name not in ("red", "black"):
        raise CreditDeskError(f"There is no {parsed.list_name} list; there are: red, black.")
    key = _known_key(settings, parsed.customer_id)
    kind = f"{parsed.list_name}_list"
    notified_on = parsed.notified_on or today
    outcome = latest_outcome(settings, key, notified_on)
    proposed = next((one for one in outcome.measures if one.kind == kind), None) if outcome else None
    if outcome is None or proposed is None:
        why = [f"{one.rule_id}: {one.text}" for one in outcome.withheld if one.kind == kind] if outcome else []
        raise CreditDeskError(
            f"The policy does not propose this customer for the {parsed.list_name} list. "
            + (" ".join(why) or "See `credit show`; nobody is listed without a rule.")
        )
    record = _made(
        ListEntry,
        recorded_by=parsed.recorded_by,
        customer_key=key,
        list_name=parsed.list_name,
        policy_version=outcome.policy_version,
        rule_ids=proposed.rule_ids,
        notified_on=notified_on,
        effective_on=proposed.takes_effect_on,
        review_on=proposed.review_on,
        expires_on=proposed.expires_on,
    )
    _append(settings, record)
    return (
        f"Entry {record.entry_id} on the {record.list_name} list: notice of {record.notified_on}, from "
        f"{record.effective_on}, review by {record.review_on}, ends {record.expires_on}."
    )


def record_review(parsed: argparse.Namespace, settings: PlatformSettings, today: date) -> str:
    """Record the review of an entry."""
    from ml.credit_risk.register import ListReview, Register

    entry = Register.read(settings.credit_register_path).entry(parsed.entry_id)
    record = _made(
        ListReview,
        recorded_by=parsed.recorded_by,
        entry_id=entry.entry_id,
        customer_key=entry.customer_key,
        reviewed_on=today,
        decision=parsed.decision,
        next_review_on=parsed.next_review_on,
    )
    _append(settings, record)
    if record.next_review_on is None:
        return f"Entry {entry.entry_id} ended on {record.reviewed_on}."
    return f"Entry {entry.entry_id} stays until the review of {record.next_review_on}."


def record_appeal(parsed: argparse.Namespace, settings: PlatformSettings, today: date) -> str:
    """Record an appeal against rules of an outcome, within the days that its policy gives."""
    from ml.credit_risk.register import AppealRecord, LateReason

    key = _known_key(settings, parsed.customer_id)
    outcome_on = _day_of_contested_outcome(parsed, settings, key, today)
    policy = chosen_policy(settings, outcome_on)
    known = [rule.rule_id for rule in policy.rules]
    for rule_id in parsed.rule_ids:
        if rule_id not in known:
            raise CreditDeskError(f"{policy.version} has no rule {rule_id!r}; there are: {', '.join(known)}")
    open_until = outcome_on + timedelta(days=policy.appeal.within_days)
    if today > open_until and parsed.late_reason is None:
        raise CreditDeskError(
            f"The outcome of {outcome_on} could be contested until {open_until} ({policy.version}: "
            f"{policy.appeal.within_days} days). Nothing was recorded. A late appeal is taken with --late-because and "
            f"--allowed-by NAME; reasons are: {', '.join(get_args(LateReason))}."
        )
    record = _made(
        AppealRecord,
        recorded_by=parsed.recorded_by,
        customer_key=key,
        policy_version=policy.version,
        rule_ids=tuple(parsed.rule_ids),
        filed_on=today,
        ground=parsed.ground,
        request_id=parsed.request_id,
        outcome_on=outcome_on,
        open_until=open_until,
        late_reason=parsed.late_reason,
        late_allowed_by=parsed.late_allowed_by,
    )
    _append(settings, record)
    decide_by = today + timedelta(days=policy.appeal.decided_within_days)
    suspended = ", ".join(policy.appeal.suspends) or "nothing"
    return f"Appeal {record.appeal_id} recorded; decide it by {decide_by}. Until then it suspends: {suspended}."


def record_decision(parsed: argparse.Namespace, settings: PlatformSettings, today: date) -> str:
    """Record the decision on an appeal; an upheld one has effect for as long as its policy says."""
    from ml.credit_risk.register import AppealDecision, Register

    appeal = Register.read(settings.credit_register_path).appeal(parsed.appeal_id)
    policy = chosen_policy(settings, appeal.filed_on, appeal.policy_version.partition("@")[0])
    ends = today + timedelta(days=policy.appeal.upheld_for_days)
    record = _made(
        AppealDecision,
        recorded_by=parsed.recorded_by,
        appeal_id=appeal.appeal_id,
        customer_key=appeal.customer_key,
        decided_on=today,
        decision=parsed.decision,
        expires_on=ends if parsed.decision == "upheld" else None,
    )
    _append(settings, record)
    if record.expires_on is None:
        return f"Appeal {appeal.appeal_id} is rejected; the outcome stays."
    return f"Appeal {appeal.appeal_id} is upheld until {record.expires_on} against {', '.join(appeal.rule_ids)}."


def _day_of_contested_outcome(parsed: argparse.Namespace, settings: PlatformSettings, key: str, today: date) -> date:
    """Return the day of the answer, the letter or the notice that an appeal contests; today's outcome by default.

    Raises:
        ReplayError: No such answer of this customer is logged.
        CreditDeskError: The day lies ahead.
    """
    from ml.credit_risk.register import Register
    from orchestration.replay import decided_at

    if parsed.request_id:
        decided = decided_at(settings, "credit_risk", parsed.request_id, key)
        return decided.astimezone(ZoneInfo(settings.time_zone)).date()
    if parsed.outcome_on is not None:
        if parsed.outcome_on > today:
            raise CreditDeskError(f"An outcome of {parsed.outcome_on} does not exist yet; give the day of the letter.")
        return parsed.outcome_on
    notices = [
        standing.entry.notified_on
        for standing in Register.read(settings.credit_register_path).standing(key, today).entries
        if today < standing.ends_on and not set(parsed.rule_ids).isdisjoint(standing.entry.rule_ids)
    ]
    return max(notices, default=today)


_RECORDERS: dict[str, Callable[[argparse.Namespace, PlatformSettings, date], str]] = {
    "status": record_status,
    "enter": record_entry,
    "review": record_review,
    "appeal": record_appeal,
    "decide": record_decision,
}


def _known_key(settings: PlatformSettings, customer_id: str) -> str:
    """Return the key of a customer whom the marts know.

    Raises:
        CreditDeskError: They do not.
    """
    key = customer_key(customer_id, settings.pseudonym_key.get_secret_value())
    rows = current_marts(settings.marts_dir).read_table(
        "customer_credit_features", columns=["customer_key"], filters=[("customer_key", "==", key)]
    )
    if not rows.num_rows:
        raise CreditDeskError("No customer of this id is in the marts. Give the id exactly as the supplier does.")
    return key


def _made(kind: type[_R], **values: Any) -> _R:
    """Return a record.

    Raises:
        CreditDeskError: A value does not fit; the message names each.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        problems = [
            ": ".join([*(str(part) for part in problem["loc"]), problem["msg"].removeprefix("Value error, ")])
            for problem in error.errors(include_url=False)
        ]
        raise CreditDeskError("Nothing was recorded. " + "; ".join(problems)) from error


def _append(settings: PlatformSettings, record: "Record") -> None:
    from ml.credit_risk.register import append

    append(settings.credit_register_path, record)
