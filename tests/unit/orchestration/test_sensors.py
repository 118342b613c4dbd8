"""What the sensors start when files arrive and when verdicts change."""

from pathlib import Path

import dagster as dg
import pytest

from orchestration.ingestion.landing import land_deliveries
from orchestration.ingestion.mapping import load_mapping
from orchestration.sensors import inbox_sensor
from orchestration.settings import PlatformSettings

CUSTOMERS = "customer_id,customer_class\nC1,residential\n"


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    settings = PlatformSettings(home=tmp_path, simulate=False)
    (settings.inbox_dir / "2026-01").mkdir(parents=True)
    return settings


def look(settings: PlatformSettings, cursor: str | None) -> dg.SensorEvaluationContext:
    """Return the context of one look at the inbox."""
    return dg.build_sensor_context(cursor=cursor, resources={"settings": settings})


def deliver(settings: PlatformSettings, content: str) -> None:
    (settings.inbox_dir / "2026-01" / "customers.csv").write_text(content)


def test_empty_inbox_starts_nothing(settings: PlatformSettings) -> None:
    outcome = inbox_sensor(look(settings, None))

    assert isinstance(outcome, dg.SkipReason)
    assert "Every file in the inbox is landed" in str(outcome.skip_message)


def test_new_file_starts_a_run_when_it_stopped_growing(settings: PlatformSettings) -> None:
    deliver(settings, CUSTOMERS)
    first = look(settings, None)
    assert isinstance(inbox_sensor(first), dg.SkipReason)

    deliver(settings, CUSTOMERS + "C2,residential\n")
    growing = look(settings, first.cursor)
    outcome = inbox_sensor(growing)
    assert isinstance(outcome, dg.SkipReason)
    assert "whether they still grow" in str(outcome.skip_message)

    request = inbox_sensor(look(settings, growing.cursor))
    assert isinstance(request, dg.RunRequest)


def test_same_files_ask_for_one_run_only(settings: PlatformSettings) -> None:
    deliver(settings, CUSTOMERS)
    first = look(settings, None)
    inbox_sensor(first)

    requests = [inbox_sensor(look(settings, first.cursor)) for _ in range(2)]

    assert [request.run_key for request in requests if isinstance(request, dg.RunRequest)] == [first.cursor] * 2


def test_landed_file_starts_nothing(settings: PlatformSettings) -> None:
    deliver(settings, CUSTOMERS)
    first = look(settings, None)
    inbox_sensor(first)
    land_deliveries(
        settings.inbox_dir,
        load_mapping(settings.mapping),
        settings.landing_dir,
        pseudonym_key=settings.pseudonym_key.get_secret_value(),
        time_zone=settings.time_zone,
    )

    after = look(settings, first.cursor)

    assert isinstance(inbox_sensor(after), dg.SkipReason)
    assert after.cursor == ""
