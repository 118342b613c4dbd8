"""The register draws a campaign once, counts its contacts, and forgets whom it must forget."""

import stat
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml.audiences.contact_policy import load_contact_policy
from ml.audiences.definition import AudienceDefinition
from ml.audiences.register import CampaignRegister, CampaignRegisterError, Selected
from ml.audiences.selection import Selection, select_customers
from tests.unit.ml.audiences.campaigns import DAY, campaign, contact_status, key, no_contacts, portrait


@pytest.fixture
def register(tmp_path: Path) -> CampaignRegister:
    """An empty register."""
    return CampaignRegister(tmp_path / "campaigns")


def _selection(definition: AudienceDefinition) -> Selection:
    return select_customers(
        definition,
        portrait(),
        contact_status(),
        load_contact_policy(DAY),
        contacts_by_customer=no_contacts(),
        day=DAY,
    )


def _record(register: CampaignRegister, by: str = "desk", **changes: Any) -> Selected:
    definition = campaign(**changes)
    return register.record(
        definition,
        _selection(definition),
        policy_version="2026-01-01",
        as_of_month=date(2026, 9, 1),
        marts_version="abc",
        recorded_by=by,
        after_records_count=register.records_count,
    )


def test_a_selection_that_did_not_know_of_another_campaign_is_not_kept(register: CampaignRegister) -> None:
    _record(register)
    definition = campaign(campaign_id="second")

    with pytest.raises(CampaignRegisterError, match="Somebody else recorded a campaign meanwhile"):
        register.record(
            definition,
            _selection(definition),
            policy_version="2026-01-01",
            as_of_month=date(2026, 9, 1),
            marts_version="abc",
            recorded_by="desk",
            after_records_count=0,
        )
    assert len(register.campaigns()) == 1


def test_an_empty_register_knows_no_campaign(register: CampaignRegister) -> None:
    assert register.campaigns() == []
    assert register.contacts_near(DAY, DAY, 30).is_empty()
    with pytest.raises(CampaignRegisterError, match="No campaign 'x' was selected; there are: none"):
        register.campaign("x")


def test_what_was_selected_is_kept_with_whom(register: CampaignRegister) -> None:
    record = _record(register)

    assert register.campaigns() == [record]
    assert register.members("evening_tariff").equals(_selection(campaign()).members)
    assert (record.treated_count + record.control_count, record.matched_count) == (300, 300)
    assert record.definition["select"] == [{"column": "customer_class", "is": "residential"}]
    assert stat.S_IMODE(register.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((register.folder / "evening_tariff" / "members.parquet").stat().st_mode) == 0o600


def test_a_campaign_is_drawn_once_and_the_same_definition_finds_it(register: CampaignRegister) -> None:
    record = _record(register)

    assert register.drawn_before(campaign()) == record
    assert register.drawn_before(campaign(campaign_id="another")) is None
    with pytest.raises(CampaignRegisterError, match=r"by another definition.*campaign_id of its own"):
        register.drawn_before(campaign(control_share_pct=30))


@pytest.mark.parametrize(
    ("first", "last", "near"),
    [
        # The campaign contacts from 12 to 23 October; 30 days from any of them share a stretch.
        ("2026-11-21", "2026-11-30", True),
        ("2026-11-22", "2026-11-30", False),
        ("2026-09-01", "2026-09-13", True),
        ("2026-09-01", "2026-09-12", False),
    ],
)
def test_contacts_count_when_they_fall_within_the_days_of_the_limit(
    register: CampaignRegister, first: str, last: str, near: bool
) -> None:
    _record(register, contacts_count=2)
    counts = register.contacts_near(date.fromisoformat(first), date.fromisoformat(last), 30)

    assert counts.get_column("contacts_count").unique().to_list() == ([2] if near else [])


def test_contacts_add_up_over_campaigns_in_both_arms_and_withdrawn_ones_do_not_count(
    register: CampaignRegister,
) -> None:
    _record(register)
    _record(register, campaign_id="second", select=[{"column": "customer_class", "is_known": True}])
    both = register.contacts_near(DAY, DAY, 30)
    register.withdraw("evening_tariff", recorded_by="desk")

    assert both.height == 400
    assert both.get_column("contacts_count").sum() == 700
    assert register.contacts_near(DAY, DAY, 30).get_column("contacts_count").sum() == 400
    assert register.contacts_near(DAY, DAY, 30, without="second").is_empty()
    with pytest.raises(CampaignRegisterError, match="withdrawn already"):
        register.withdraw("evening_tariff", recorded_by="desk")


def test_an_erased_customer_leaves_every_campaign_and_the_others_stay(register: CampaignRegister) -> None:
    _record(register)
    _record(register, campaign_id="second")
    before = register.members("second")
    line = register.path.read_bytes()

    assert register.erase(key(1)) == 2
    assert register.erase(key(1)) == 0
    assert register.members("second").equals(before.filter(pl.col("customer_key") != key(1)))
    assert register.path.read_bytes() == line


def test_erasing_where_there_is_no_register_does_nothing(register: CampaignRegister) -> None:
    assert register.erase(key(1)) == 0
    assert not register.folder.exists()


def test_an_export_names_customers_by_key_and_says_arm_campaign_channel_and_days(register: CampaignRegister) -> None:
    record = _record(register)
    path = register.export("evening_tariff")
    frame = pl.read_csv(path)

    assert frame.columns == ["customer_key", "campaign_id", "arm", "channel", "contact_from", "contact_until"]
    assert frame.row(0)[1:] == ("evening_tariff", frame["arm"][0], "sms", "2026-10-12", "2026-10-23")
    assert dict(frame.group_by("arm").len().iter_rows()) == {
        "treated": record.treated_count,
        "control": record.control_count,
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_exporting_again_gives_the_same_bytes_without_whom_was_erased_meanwhile(
    register: CampaignRegister, file_format: str
) -> None:
    _record(register)
    first = register.export("evening_tariff", file_format).read_bytes()
    again = register.export("evening_tariff", file_format).read_bytes()
    register.erase(key(1))

    assert again == first
    assert not (register.folder / "evening_tariff" / "export").exists()
    assert key(1).encode() not in register.export("evening_tariff", "csv").read_bytes()


def test_a_withdrawn_campaign_is_not_exported(register: CampaignRegister) -> None:
    _record(register)
    register.withdraw("evening_tariff", recorded_by="desk")

    with pytest.raises(CampaignRegisterError, match="withdrawn; nobody may be contacted"):
        register.export("evening_tariff")


def test_an_export_in_another_format_is_refused(register: CampaignRegister) -> None:
    _record(register)

    with pytest.raises(CampaignRegisterError, match="'xlsx' is no format; there are: csv, parquet"):
        register.export("evening_tariff", "xlsx")


def test_who_records_is_named_and_a_damaged_line_is_told_by_number(register: CampaignRegister) -> None:
    with pytest.raises(CampaignRegisterError, match=r"Nothing was recorded\. recorded_by"):
        _record(register, by="")
    _record(register)
    with register.path.open("a", encoding="utf-8") as file:
        file.write('{"kind": "selected"}\n')

    with pytest.raises(CampaignRegisterError, match="line 2: no record of the campaign register"):
        register.campaigns()
