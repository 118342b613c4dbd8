"""Who hears what and when: incidents and channels together."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring import alerts
from monitoring.alerts import AlertMessage, DeliveryError, deliver, make_message, undelivered
from monitoring.incidents import Delivery, read_incidents, record_incident
from monitoring.review import review_month
from monitoring.runbook import runbook
from monitoring.verdicts import OUTCOMES, SEVERITY_BY_OUTCOME, Outcome, record_verdict
from tests.unit.monitoring.factories import MONTH, prediction_frame
from tests.unit.monitoring.test_incidents import NOW, review, reviewed

SITE = "http://127.0.0.1:3200"


@dataclass
class Ear:
    """A channel that remembers what it heard, and fails as told."""

    name: str = "ear"
    way: str = "ear"
    use_cases: tuple[str, ...] = ()
    failures: list[DeliveryError] = field(default_factory=list)
    heard: list[AlertMessage] = field(default_factory=list)
    attempts: int = 0

    def takes(self, use_case: str) -> bool:
        return not self.use_cases or use_case in self.use_cases

    def send(self, message: AlertMessage) -> None:
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        self.heard.append(message)

    @property
    def kinds(self) -> list[str]:
        return [message.kind for message in self.heard]


def away(count: int) -> list[DeliveryError]:
    return [DeliveryError("HTTP 503", may_pass=True) for _ in range(count)]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "_PAUSE_SECONDS", 0.0)


def test_one_message_when_it_begins_becomes_worse_and_ends(tmp_path: Path) -> None:
    ear = Ear()
    history: list[tuple[int, Outcome]] = [
        (1, "stable"),
        (2, "watch"),
        (2, "watch"),
        (3, "watch"),
        (4, "act"),
        (5, "watch"),
        (6, "stable"),
        (6, "stable"),
    ]
    for month, outcome in history:
        review(tmp_path, month, outcome)
        deliver(tmp_path, [ear], SITE, now=NOW)

    assert [(message.kind, message.month.month, message.number) for message in ear.heard] == [
        ("opened", 2, 1),
        ("escalated", 4, 2),
        ("closed", 6, 3),
    ]
    assert {message.incident_id for message in ear.heard} == {"credit_risk-2026-02"}
    assert [message.previous_outcome for message in ear.heard] == [None, "watch", "act"]
    assert len({message.message_id for message in ear.heard}) == 3


def test_months_reviewed_at_once_are_told_as_they_stand_in_the_end(tmp_path: Path) -> None:
    ear = Ear()
    for month, outcome in enumerate(("watch", "stable", "watch", "act"), start=1):
        review(tmp_path, month, outcome)

    report = deliver(tmp_path, [ear], SITE, now=NOW)

    [message] = ear.heard
    assert (message.kind, message.outcome, message.since_month.month) == ("opened", "act", 3)
    assert report.delivered == ("Told by ear: Credit risk 2026-04: act",)


def test_failure_that_passes_is_tried_again_at_once(tmp_path: Path) -> None:
    ear = Ear(failures=away(2))
    review(tmp_path, 1, "act")
    deliver(tmp_path, [ear], SITE, now=NOW)

    assert (ear.attempts, ear.kinds) == (3, ["opened"])


def test_refusal_and_a_receiver_that_asks_for_patience_are_not_tried_again_at_once(tmp_path: Path) -> None:
    review(tmp_path, 1, "act")
    refusing = Ear("refusing", "refusing", failures=[DeliveryError("HTTP 404", may_pass=False)])
    patient = Ear("patient", "patient", failures=[DeliveryError("HTTP 429", may_pass=True, retry_after_seconds=3600)])
    deliver(tmp_path, [refusing, patient], SITE, now=NOW)

    assert (refusing.attempts, patient.attempts) == (1, 1)
    assert undelivered(tmp_path, [refusing, patient], now=NOW + timedelta(minutes=59)) == 1
    assert undelivered(tmp_path, [refusing, patient], now=NOW + timedelta(minutes=60)) == 2


def test_undelivered_message_is_kept_and_sent_later_as_things_stand_then(tmp_path: Path, caplog) -> None:
    ear = Ear(failures=away(3))
    review(tmp_path, 1, "watch")
    report = deliver(tmp_path, [ear], SITE, now=NOW)
    assert report.problems == ("Not told by ear (HTTP 503), tried again later: Credit risk 2026-01: watch",)
    assert report.problems[0] in caplog.text

    review(tmp_path, 2, "act")
    deliver(tmp_path, [ear], SITE, now=NOW + timedelta(minutes=4))
    assert ear.heard == []

    deliver(tmp_path, [ear], SITE, now=NOW + timedelta(minutes=5))
    assert [(message.kind, message.outcome) for message in ear.heard] == [("opened", "act")]
    assert undelivered(tmp_path, [ear], now=NOW + timedelta(days=9)) == 0


def test_pauses_between_failures_double_up_to_six_hours(tmp_path: Path) -> None:
    ear = Ear(failures=away(100))
    review(tmp_path, 1, "act")
    pauses, now = [], NOW
    for _ in range(9):
        deliver(tmp_path, [ear], SITE, now=now)
        [delivery] = read_incidents(tmp_path)[0].deliveries
        assert delivery.next_attempt_at is not None
        pauses.append((delivery.next_attempt_at - now) / timedelta(minutes=1))
        now = delivery.next_attempt_at

    assert pauses == [5, 10, 20, 40, 80, 160, 320, 360, 360]


def test_incident_that_ended_while_nobody_could_be_told_is_told_when_it_can(tmp_path: Path) -> None:
    ear = Ear(failures=away(3))
    review(tmp_path, 1, "act")
    deliver(tmp_path, [ear], SITE, now=NOW)
    review(tmp_path, 2, "stable")

    deliver(tmp_path, [ear], SITE, now=NOW + timedelta(days=1))

    assert [(message.kind, message.number) for message in ear.heard] == [("closed", 1)]


@pytest.mark.parametrize("minutes", [0, 2])
def test_incident_that_came_and_went_while_its_channel_rested_is_told(tmp_path: Path, minutes: int) -> None:
    """Another incident's message had failed, in the same round or shortly before."""
    ear = Ear(failures=away(3))
    review(tmp_path, 1, "act")
    if minutes:
        deliver(tmp_path, [ear], SITE, now=NOW)
    review(tmp_path, 1, "watch", use_case="segmentation")
    deliver(tmp_path, [ear], SITE, now=NOW + timedelta(minutes=minutes))
    review(tmp_path, 2, "stable", use_case="segmentation")

    deliver(tmp_path, [ear], SITE, now=NOW + timedelta(minutes=30))

    assert [(message.use_case, message.kind) for message in ear.heard] == [
        ("credit_risk", "opened"),
        ("segmentation", "closed"),
    ]


def test_end_that_could_not_be_told_for_a_month_is_given_up(tmp_path: Path) -> None:
    ear = Ear(failures=away(3))
    review(tmp_path, 1, "act")
    deliver(tmp_path, [ear], SITE, now=NOW)
    review(tmp_path, 2, "stable", now=NOW)

    assert undelivered(tmp_path, [ear], now=NOW + timedelta(days=30)) == 1
    assert undelivered(tmp_path, [ear], now=NOW + timedelta(days=31)) == 0


def test_channel_that_is_new_hears_what_lasts_and_nothing_of_the_past(tmp_path: Path) -> None:
    old, new = Ear("old", "old"), Ear("new", "new")
    for month, outcome in enumerate(("act", "stable", "watch"), start=1):
        review(tmp_path, month, outcome)
        deliver(tmp_path, [old], SITE, now=NOW)

    deliver(tmp_path, [old, new], SITE, now=NOW)

    assert old.kinds == ["opened", "closed", "opened"]
    assert new.kinds == ["opened"]


def test_broken_way_is_tried_for_one_recipient_and_holds_up_no_other_way(tmp_path: Path) -> None:
    review(tmp_path, 1, "act")
    review(tmp_path, 1, "watch", use_case="segmentation")
    first, second, other = Ear("a", "mail", failures=away(99)), Ear("b", "mail"), Ear("c", "webhook")
    deliver(tmp_path, [first, second, other], SITE, now=NOW)

    assert (first.attempts, second.attempts, other.attempts) == (3, 0, 2)


def test_refused_recipient_takes_nothing_from_the_others(tmp_path: Path) -> None:
    review(tmp_path, 1, "act")
    refusal = DeliveryError("the mail server refused the recipient (550)", may_pass=False, is_of_recipient=True)
    refused, fine = Ear("a", "mail", failures=[refusal]), Ear("b", "mail")
    deliver(tmp_path, [refused, fine], SITE, now=NOW)

    assert fine.kinds == ["opened"]
    assert undelivered(tmp_path, [refused, fine], now=NOW + timedelta(minutes=5)) == 1


def test_recipients_hear_of_their_models_only(tmp_path: Path) -> None:
    review(tmp_path, 1, "act")
    review(tmp_path, 1, "act", use_case="segmentation")
    ear = Ear(use_cases=("segmentation",))
    deliver(tmp_path, [ear], SITE, now=NOW)

    assert [message.use_case for message in ear.heard] == ["segmentation"]


def test_killed_between_sending_and_noting_sends_the_same_message_again(tmp_path: Path, monkeypatch) -> None:
    ear = Ear()
    review(tmp_path, 1, "act")

    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(alerts, "record_delivery", killed)
        with pytest.raises(KeyboardInterrupt):
            deliver(tmp_path, [ear], SITE, now=NOW)
    deliver(tmp_path, [ear], SITE, now=NOW + timedelta(hours=1))

    assert len({message.message_id for message in ear.heard}) == 1


def test_message_leads_to_the_page_and_says_what_to_do_first(tmp_path: Path) -> None:
    review(tmp_path, 8, "act")
    [incident] = read_incidents(tmp_path)

    message = make_message(incident, "opened", Delivery(channel="log"), SITE, NOW)

    assert message.title_zh == "信用风险 2026-08：需处理"
    assert message.sentence == "The model has needed attention since 2026-08."
    assert message.reasons == ("Found in month 8.",)
    entry = runbook()["column_drift"]
    assert message.first_steps == (f"{entry.title}: {entry.first}",)
    assert message.page_url == "http://127.0.0.1:3200/site/credit_risk/index.html"


def test_nothing_personal_reaches_a_message(make_platform) -> None:
    """Values of the log stay where they are, also values that a shifted column holds."""
    platform = make_platform()
    frame = prediction_frame("credit_risk", MONTH, 400, seed=3)
    frame["customer_class"] = "Zhang Wei 13800138000"
    frame["name"] = "Zhang Wei"
    frame["late_bills_3m_count"] = 40.0
    platform.write_batch(frame)
    ear = Ear()
    verdict = review_month("credit_risk", MONTH, **platform.folders, with_report=False)
    deliver(platform.reports_dir, [ear], SITE, now=NOW)

    [message] = ear.heard
    text = message.model_dump_json()
    assert verdict.outcome == "act"
    assert "Zhang" not in text
    assert "13800138000" not in text
    assert not any(key in text for key in frame["customer_key"])


REVIEWS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(OUTCOMES), st.booleans()), min_size=1, max_size=14)


@settings(max_examples=40)
@given(reviews=REVIEWS)
def test_no_history_makes_a_flood_or_leaves_somebody_in_false_calm(reviews) -> None:
    """Months pass, are reviewed again and disagree, and deliveries fail; reviews without a change never ring."""
    ear = Ear()
    with TemporaryDirectory() as folder:
        directory, month, now = Path(folder), 1, NOW
        for step, outcome, fails in reviews:
            month = min(month + step, 12)
            now += timedelta(hours=12)
            verdict = reviewed(month, outcome)
            record_verdict(verdict, directory)
            record_incident(verdict, directory, now=now)
            ear.failures = away(3) if fails else []
            deliver(directory, [ear], SITE, now=now)
            before = len(ear.heard)
            deliver(directory, [ear], SITE, now=now)
            assert len(ear.heard) == before

            incidents = read_incidents(directory)
            told = next((d.told for i in incidents[-1:] for d in i.deliveries if not d.failed_count), None)
            if told and incidents[-1].is_open:
                assert SEVERITY_BY_OUTCOME[told] >= SEVERITY_BY_OUTCOME[incidents[-1].now.outcome]
    for month_told in {(message.incident_id, message.month) for message in ear.heard}:
        kinds = [message.kind for message in ear.heard if (message.incident_id, message.month) == month_told]
        # It begins, becomes worse twice, ends once, and after that once more from the start.
        assert kinds.count("closed") <= 1
        assert len(kinds) <= 7
