"""The erasure of a customer from a whole home, and the commands beside the main job."""

from datetime import date
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from ml.audiences.register import CampaignRegister
from ml.audiences.selection import EXCLUSIONS, Selection
from ml.credit_risk.register import Register, StatusRecord, append
from orchestration.__main__ import land, main
from orchestration.erasure import UnknownCustomerError, erase, erase_reports
from orchestration.ingestion.pseudonym import customer_key
from orchestration.settings import PlatformSettings
from orchestration.traces import CustomerTrace
from tests.unit.ml.audiences.campaigns import campaign
from tests.unit.orchestration.ingestion.supplier import METERS, PSEUDONYM_KEY, Supplier, hourly, readings_csv

CUSTOMERS = "customer_id,customer_class,name\nCUST-0001,residential,Zhang Wei\nCUST-0002,residential,Li Na\n"
KEY = customer_key("CUST-0001", PSEUDONYM_KEY)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlatformSettings:
    """Settings of a home whose two customers have landed; commands find it by the environment."""
    monkeypatch.setenv("KILOWISE_HOME", str(tmp_path))
    monkeypatch.setenv("KILOWISE_PSEUDONYM_KEY", PSEUDONYM_KEY)
    monkeypatch.setenv("KILOWISE_SIMULATE", "false")
    Supplier(tmp_path).deliver(
        "2024-09",
        {
            "customers.csv": CUSTOMERS,
            "meters.csv": METERS.replace("C1", "CUST-0001").replace("C2", "CUST-0002"),
            "meter_readings.csv": readings_csv([*hourly("M1", "2024-09-01"), ("M2", "2024-09-01 00:00", -1)]),
        },
    )
    return PlatformSettings()


def predictions(settings: PlatformSettings, place: str, keys: list[str | None]) -> Path:
    path = settings.predictions_dir / place
    path.parent.mkdir(parents=True)
    pd.DataFrame({"customer_key": keys, "score": 0.5}).to_parquet(path)
    return path


def test_land_says_what_became_of_every_row(settings: PlatformSettings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["land"]) == 0

    said = capsys.readouterr().out
    assert "2024-09: meters (1 files)" in said
    assert "1 deliveries: 29 rows in = 28 loaded + 0 exact duplicates + 1 quarantined" in said
    assert '2024-09/meter_readings.csv, row 26, column kwh: "-1" is negative' in said
    assert not (settings.home / "dagster").exists()


@pytest.mark.usefixtures("settings")
def test_land_says_which_years_have_no_holidays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KILOWISE_JURISDICTION", "CH")

    assert main(["land"]) == 0

    assert "No holidays of CH are known for 2024," in capsys.readouterr().out


def test_land_with_a_wrong_mapping_is_one_line(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KILOWISE_MAPPING", str(settings.home / "absent.yaml"))

    assert main(["land"]) == 1

    [line] = capsys.readouterr().err.splitlines()
    assert "absent.yaml" in line


def test_erased_customer_is_gone_and_the_inbox_does_not_bring_them_back(settings: PlatformSettings) -> None:
    land(settings)
    batch = predictions(settings, "batch/segmentation/as_of_month=2024-09-01/predictions.parquet", [KEY, "other"])
    log = predictions(settings, "log/segmentation/date=2024-09-01/one.parquet", [KEY])
    inline = predictions(settings, "log/credit_risk/date=2024-09-01/two.parquet", [None])
    for derived in (settings.marts_dir / "versions" / "one" / "mart.parquet", settings.warehouse_path):
        derived.parent.mkdir(parents=True)
        derived.write_bytes(b"derived")
    said: list[str] = []

    def deliver_all_again_and_land(settings: PlatformSettings) -> int:
        again = settings.inbox_dir / "2024-10"
        again.mkdir()
        for path in (settings.inbox_dir / "2024-09").iterdir():
            (again / path.name).write_text(path.read_text() + "\n")
        return land(settings)

    assert erase(settings, "CUST-0001", deliver_all_again_and_land, said.append)

    assert pq.read_table(batch, partitioning=None)["customer_key"].to_pylist() == ["other"]
    assert not log.exists()
    assert inline.exists()
    assert not settings.warehouse_path.parent.exists()
    assert not (settings.marts_dir / "versions").exists()
    assert any(sentence.startswith("Nothing found") for sentence in said)
    assert "CUST-0001" not in "".join(said)
    assert (settings.inbox_dir / "2024-09" / "customers.csv").read_text() == CUSTOMERS


def test_credit_register_loses_the_customer_and_keeps_the_others(settings: PlatformSettings) -> None:
    land(settings)
    for key in (KEY, "f" * 32):
        append(
            settings.credit_register_path,
            StatusRecord(
                recorded_by="desk",
                customer_key=key,
                status="low_income",
                valid_from=date(2026, 1, 1),
                valid_until=date(2027, 1, 1),
            ),
        )
    said: list[str] = []

    assert erase(settings, "CUST-0001", lambda _settings: 0, said.append)

    assert "Credit register: 1 records removed." in said
    assert set(Register.read(settings.credit_register_path).records) == {"f" * 32}


def test_campaigns_and_their_exports_lose_the_customer(settings: PlatformSettings) -> None:
    land(settings)
    register = CampaignRegister(settings.campaigns_dir)
    definition = campaign()
    members = pl.DataFrame({"customer_key": [KEY, "f" * 32], "arm": ["treated", "control"]})
    register.record(
        definition,
        Selection(members, 2, dict.fromkeys(EXCLUSIONS, 0)),
        policy_version="2026-01-01",
        as_of_month=date(2026, 9, 1),
        marts_version="v1",
        recorded_by="desk",
        after_records_count=0,
    )
    register.export(definition.campaign_id)
    said: list[str] = []

    assert erase(settings, "CUST-0001", lambda _settings: 0, said.append)

    assert "Campaign register: removed from 1 campaigns." in said
    assert register.members(definition.campaign_id)["customer_key"].to_list() == ["f" * 32]
    assert any(sentence.startswith("Nothing found") for sentence in said)


def test_place_that_still_names_the_customer_is_listed(settings: PlatformSettings) -> None:
    land(settings)
    note = settings.home / "reports" / "note.html"
    note.parent.mkdir()
    note.write_text(f"about {KEY}")
    said: list[str] = []

    assert not erase(settings, "CUST-0001", lambda _settings: 0, said.append)

    assert "Still names the customer: reports/note.html" in said


def test_run_that_fails_is_no_erasure_and_the_same_command_completes_it(settings: PlatformSettings) -> None:
    land(settings)

    assert not erase(settings, "CUST-0001", lambda _settings: 1, lambda _sentence: None)
    assert erase(settings, "CUST-0001", lambda _settings: 0, lambda _sentence: None)


def test_unknown_customer_changes_nothing(settings: PlatformSettings) -> None:
    land(settings)
    before = {path: path.stat().st_mtime_ns for path in settings.home.rglob("*.parquet")}

    with pytest.raises(UnknownCustomerError, match="nothing was changed"):
        erase(settings, "CUST-0003", lambda _settings: 0, lambda _sentence: None)

    assert {path: path.stat().st_mtime_ns for path in settings.home.rglob("*.parquet")} == before
    assert not (settings.landing_dir / "identities" / "erased.txt").exists()


@pytest.mark.parametrize("kind", ["price_simulation", "credit_policy", "dunning"])
def test_reports_that_name_the_customer_are_removed_whole(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / kind
    for name, key in (("spring", KEY), ("summer", "another")):
        (folder / name).mkdir(parents=True)
        (folder / name / "index.html").write_text("<html></html>")
        pd.DataFrame({"customer_key": [key]}).to_parquet(folder / name / "customers.parquet")

    removed = erase_reports(tmp_path, CustomerTrace("CUST-0001", KEY))

    assert removed == [f"{kind}/spring"]
    assert [path.name for path in folder.iterdir()] == ["summer"]
