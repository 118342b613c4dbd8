"""The contact policy is dated, says why, and is refused with its field when it says what cannot be."""

from datetime import date
from pathlib import Path

import pytest

from ml.audiences.contact_policy import BUILT_IN_POLICY, ContactPolicyError, load_contact_policy

BUILT_IN = BUILT_IN_POLICY.read_text(encoding="utf-8")


def test_the_built_in_policy_leaves_alone_who_complains_disputes_or_is_dunned() -> None:
    policy = load_contact_policy(date(2026, 11, 22))

    assert policy.version == "2026-01-01"
    assert (policy.limit.contacts_count, policy.limit.days) == (2, 30)
    assert all(rule.leave_alone for rule in (policy.open_complaint, policy.open_dispute, policy.dunning))


def test_the_latest_version_that_has_begun_applies(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(BUILT_IN + BUILT_IN.partition("versions:\n")[2].replace("2026-01-01", "2026-06-01"), "utf-8")

    assert load_contact_policy(date(2026, 5, 31), path).version == "2026-01-01"
    assert load_contact_policy(date(2026, 6, 1), path).version == "2026-06-01"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("days: 30", "days: 0", r"own.yaml: versions\[0\]\.limit\.days: .*greater than or equal to 1"),
        ("dunning:", "dunnings:", r"own.yaml: versions\[0\]\.dunning: Field required"),
        ("2026-01-01", "2027-01-01", "own.yaml: no version applies on 2026-11-22"),
        ("versions:", "versions: [", "own.yaml: cannot be read as YAML"),
    ],
)
def test_a_policy_that_cannot_be_applied_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(BUILT_IN.replace(old, new), encoding="utf-8")

    with pytest.raises(ContactPolicyError, match=message):
        load_contact_policy(date(2026, 11, 22), path)
