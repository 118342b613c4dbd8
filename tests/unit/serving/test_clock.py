"""A clock that jumps: a machine woken up, a wrong time server, a battery that is empty."""

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from serving import scoring
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.builders import customer_id
from tests.unit.serving.conftest import client_of

NOW = datetime.now(UTC)
JUMPS = (
    NOW,
    NOW + timedelta(days=4_000),
    NOW - timedelta(hours=1),
    NOW - timedelta(days=30),
    datetime(1970, 1, 1, tzinfo=UTC),
    NOW,
)


@pytest.fixture
def runtime(released_home: Path, tmp_path: Path) -> Iterator[Runtime]:
    for folder in ("models", "releases"):
        (tmp_path / folder).symlink_to(released_home / folder)
    runtime = Runtime(ServingSettings(home=tmp_path))
    runtime.start()
    yield runtime
    runtime.stop()


def test_answers_and_log_follow_a_clock_that_jumps_and_nothing_fails(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    times = iter([])

    class JumpingClock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # noqa: ARG003  # always UTC here
            return next(times)

    monkeypatch.setattr(scoring, "datetime", JumpingClock)
    client = client_of(runtime)
    answers = []
    with caplog.at_level(logging.ERROR, logger="serving.policy_desk"):
        for instant in JUMPS:
            times = iter([instant])
            answers.append(client.post("/v1/credit_risk/score", json={"customer_id": customer_id(1)}))
    assert runtime.log is not None
    runtime.log.flush()

    assert [answer.status_code for answer in answers] == [200] * len(JUMPS)
    assert [datetime.fromisoformat(answer.json()["decided_at"]) for answer in answers] == list(JUMPS)
    assert len({answer.json()["result"]["prediction"]["credit_points"] for answer in answers}) == 1
    assert "The clock may be wrong" in caplog.text
    table = ds.dataset(runtime.settings.prediction_log_dir / "credit_risk", partitioning="hive").to_table()
    logged = Counter(table["request_id"].to_pylist())
    assert logged == Counter(answer.json()["request_id"] for answer in answers)
    days = {str(day) for day in table["date"].to_pylist()}
    assert days == {instant.date().isoformat() for instant in JUMPS}
