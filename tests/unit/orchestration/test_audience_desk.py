"""The marketing desk from the command line: columns, preview, select, export, list, withdraw, measure."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl
import pytest

from ml.audiences.definition import load_definition, matching
from ml.audiences.outcomes import split_outcome
from ml.audiences.register import CampaignRegister
from orchestration.__main__ import main
from orchestration.jobs import select_audience
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT, PlatformSettings
from tests.unit.ml.audiences.campaigns import contact_status, key, portrait

CUSTOMERS = 400
TODAY = datetime.now(ZoneInfo("Asia/Shanghai")).date()
BEFORE = (TODAY.replace(day=1) - timedelta(days=1)).replace(day=1)
AFTER = TODAY.replace(day=1)


def _publish(folder: Path, frames: dict[str, pl.DataFrame]) -> None:
    version = folder / "versions" / "v1"
    version.mkdir(parents=True)
    for name, frame in frames.items():
        frame.write_parquet(version / f"{name}.parquet")
    manifest = {name: {"rows": frame.height, "sha256": name} for name, frame in frames.items()}
    (version / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "CURRENT").write_text("v1", encoding="utf-8")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlatformSettings:
    """Settings of a home whose marts know 400 customers before and after a campaign; commands find it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KILOWISE_HOME", str(tmp_path / "home"))
    settings = PlatformSettings()
    now = portrait(CUSTOMERS).with_columns(
        as_of_month=pl.lit(BEFORE), mean_daily_kwh=pl.Series([8.0 + n % 5 for n in range(CUSTOMERS)])
    )
    later = now.with_columns(as_of_month=pl.lit(AFTER), mean_daily_kwh=pl.col("mean_daily_kwh") - 0.5)
    _publish(
        settings.after_models_marts_dir,
        {
            "customer_portrait": now,
            "customer_portrait_history": pl.concat([now, later]),
            "customer_contact_status": contact_status(CUSTOMERS).with_columns(known_on_date=pl.lit(TODAY)),
            "customer_programmes": pl.DataFrame(
                {
                    "customer_key": [key(n) for n in range(CUSTOMERS) if n % 3 == 0],
                    "programme": "autopay",
                    "joined_date": [TODAY + timedelta(days=n % 2) for n in range(CUSTOMERS) if n % 3 == 0],
                }
            ),
        },
    )
    return settings


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    """A campaign that starts today."""
    path = tmp_path / "evening.yaml"
    path.write_text(
        f"""
campaign_id: evening
name: Evening peak
purpose: Offer the tariff that fits.
channel: sms
contact_from: {TODAY}
contact_until: {TODAY + timedelta(days=3)}
outcome: portrait.mean_daily_kwh
select:
  - {{column: customer_class, is: residential}}
  - {{column: expected_saving_amount, at_least: 20}}
""",
        encoding="utf-8",
    )
    return path


def say(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command of the desk that works and return what it said."""
    assert main(["audience", *arguments]) == 0
    return capsys.readouterr().out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command of the desk that is refused and return why."""
    assert main(["audience", *arguments]) == 1
    return capsys.readouterr().err


@pytest.mark.usefixtures("settings")
def test_columns_tell_what_may_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    said = say(capsys, "columns")

    assert "segment_name: text (Evening peak, Steady base)" in said
    assert "expected_saving_amount: number" in said
    assert "is_solar_suspected: yes or no" in said
    assert "customer_key" not in said


def test_preview_counts_and_keeps_nothing(
    settings: PlatformSettings, definition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = say(capsys, "preview", str(definition))

    assert "evening: 208 customers match" in said
    assert "Left out by the contact policy 2026-01-01: nobody." in said
    assert "of portrait.mean_daily_kwh of 0." in said
    assert "Nothing was kept." in said
    assert not settings.campaigns_dir.exists()


def test_selecting_twice_gives_the_same_groups_and_files(
    settings: PlatformSettings, definition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = say(capsys, "select", str(definition), "--by", "desk")
    file = settings.campaigns_dir / "evening" / "export" / "evening.csv"
    content = file.read_bytes()
    again = say(capsys, "select", str(definition), "--by", "desk")
    register = CampaignRegister(settings.campaigns_dir)

    assert str(file) in first
    assert "stays as drawn" in again
    assert file.read_bytes() == content
    assert len(register.campaigns()) == 1
    assert register.campaigns()[0].as_of_month == BEFORE
    assert "evening: sms" in say(capsys, "list")


def test_limits_hold_over_campaigns_until_one_is_withdrawn(
    settings: PlatformSettings, definition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = definition.read_text(encoding="utf-8")
    for name in ("first", "second"):
        definition.write_text(text.replace("id: evening", f"id: {name}"), encoding="utf-8")
        say(capsys, "select", str(definition), "--by", "desk")
    definition.write_text(text, encoding="utf-8")

    assert "208 because other campaigns contact them often enough" in say(capsys, "preview", str(definition))
    assert "An arm would be empty" in refusal(capsys, "select", str(definition), "--by", "desk")
    say(capsys, "withdraw", "second", "--by", "desk")
    assert "Left out by the contact policy 2026-01-01: nobody." in say(capsys, "preview", str(definition))
    assert ", withdrawn" in say(capsys, "list")
    assert "nobody may be contacted" in refusal(capsys, "export", "second")
    assert not (settings.campaigns_dir / "evening").exists()


@pytest.mark.usefixtures("settings")
def test_measuring_takes_the_outcome_of_the_definition_or_another(
    definition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    say(capsys, "select", str(definition), "--by", "desk")
    level = say(capsys, "measure", "evening")
    joined = say(capsys, "measure", "evening", "--outcome", "programme.autopay")
    month = say(capsys, "measure", "evening", "--month", f"{BEFORE:%Y-%m}")

    assert f"portrait.mean_daily_kwh of campaign evening, {AFTER:%Y-%m}." in level
    assert "Treated minus control" in level
    assert "percentage points" in joined
    assert "so this is no result yet" in month
    assert "'kwh' is no outcome" in refusal(capsys, "measure", "evening", "--outcome", "kwh")
    assert "No campaign 'other'" in refusal(capsys, "measure", "other")
    # Everybody used half a kilowatt-hour less: a change without a difference, and without any spread.
    assert "No customer's outcome differs" in refusal(capsys, "measure", "evening", "--change")


def test_a_campaign_whose_days_are_over_is_not_selected(
    settings: PlatformSettings, definition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    past = definition.read_text(encoding="utf-8")
    for day in (TODAY, TODAY + timedelta(days=3)):
        past = past.replace(str(day), str(day - timedelta(days=30)))
    definition.write_text(past, encoding="utf-8")

    assert "is over; a campaign is selected before its contacts" in refusal(
        capsys, "select", str(definition), "--by", "desk"
    )
    assert not settings.campaigns_dir.exists()


def test_mistakes_are_told_with_file_and_field(
    settings: PlatformSettings, definition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    definition.write_text(
        definition.read_text(encoding="utf-8").replace("expected_saving_amount", "saving"), encoding="utf-8"
    )

    assert "select[1].column: the portrait has no column 'saving'" in refusal(capsys, "preview", str(definition))
    assert "none.yaml: cannot be read as YAML" in refusal(capsys, "preview", "none.yaml")
    assert not settings.campaigns_dir.exists()


@pytest.mark.usefixtures("settings")
def test_old_consents_are_pointed_out(
    settings: PlatformSettings, definition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = settings.after_models_marts_dir / "versions" / "v1" / "customer_contact_status.parquet"
    pl.read_parquet(path).with_columns(known_on_date=pl.lit(TODAY - timedelta(days=50))).write_parquet(path)

    assert "50 days ago: land the latest deliveries" in say(capsys, "preview", str(definition))


def test_before_the_first_month_is_over_there_is_nobody_to_select(
    settings: PlatformSettings, definition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = settings.after_models_marts_dir / "versions" / "v1" / "customer_portrait.parquet"
    pl.read_parquet(path).with_columns(as_of_month=pl.lit(None, pl.Date)).write_parquet(path)

    assert "no customer in a complete month yet" in refusal(capsys, "preview", str(definition))


def test_the_job_draws_the_same_groups_as_the_command(
    settings: PlatformSettings, definition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"definition_path": str(definition), "recorded_by": "desk"}

    def run(**changes: str) -> dg.ExecuteInProcessResult:
        return select_audience.execute_in_process(
            run_config={"ops": {"draw_audience": {"config": config | changes}}},
            resources={"settings": settings},
            raise_on_error=False,
        )

    assert run().success
    assert "stays as drawn" in say(capsys, "select", str(definition), "--by", "desk")
    assert not run(definition_path="none.yaml").success


def test_the_example_of_the_docs_asks_columns_that_the_portrait_has() -> None:
    example = load_definition(PROJECT_ROOT / "docs" / "examples" / "audience_time_of_use.yaml")
    manifest = json.loads((DBT_PROJECT_DIR / "target" / "manifest.json").read_text(encoding="utf-8"))
    types = {"varchar": pl.String, "boolean": pl.Boolean, "date": pl.Date}
    columns = manifest["nodes"]["model.kilowise.customer_portrait"]["columns"].values()
    bare = pl.DataFrame(schema={column["name"]: types.get(column["data_type"], pl.Float64) for column in columns})

    assert matching(example, bare).is_empty()
    assert split_outcome(example.outcome)[1] in bare.columns
