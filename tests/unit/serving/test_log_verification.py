"""The ledger of the prediction log: whatever is changed is named, and what was asked for is not called a change."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.log_erasure import erase_from_log
from serving.log_ledger import LEDGER_FILE, ledger_key
from serving.log_verification import LogVerification, verify_log
from serving.prediction_log import LoggedPrediction, PredictionLog
from tests.unit.serving.test_prediction_log import row

KEY = ledger_key(b"a secret of this test")
FILE = "credit_risk/date=2026-09-05/"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A log of two streams: the first with two files of three rows, the second with one of two."""
    directory = tmp_path / "log"
    for batches in (([1, 2, 3], [4, 5, 6]), ([7, 8],)):
        log = PredictionLog(directory, key=KEY, capacity_rows=100, flush_seconds=60)
        for numbers in batches:
            log.record([row(number) for number in numbers])
            log.flush()
        log.stop()
    return directory


def files(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.parquet"), key=lambda path: pq.read_table(path)["request_id"][0].as_py())


def rewrite(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_parquet(path, partitioning=None)).to_parquet(path, index=False)


def lines(directory: Path) -> list[str]:
    return (directory / LEDGER_FILE).read_text().splitlines(keepends=True)


def put_lines(directory: Path, changed: list[str]) -> None:
    (directory / LEDGER_FILE).write_text("".join(changed))


def verify(directory: Path) -> LogVerification:
    return verify_log(directory, KEY)


def test_untouched_log_is_whole(directory: Path) -> None:
    found = verify(directory)

    assert found.problems == ()
    assert (found.entries_count, found.files_count, found.rows_count, found.lost_count) == (5, 3, 8, 0)
    assert found.sentences() == ["5 entries, 3 whole files with 8 rows.", f"Head of the chain: {found.head}"]


def with_better_score(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[1, "default_probability"] += 1e-12
    return frame


def with_other_instant(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[2, "decided_at"] += pd.Timedelta(microseconds=1)
    return frame


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_better_score, "row 5 of its stream was altered"),
        (with_other_instant, "row 6 of its stream was altered"),
        (lambda frame: frame.assign(customer_key=["x", *frame["customer_key"][1:]]), "row 4 of its stream was altered"),
        (lambda frame: frame.assign(district=[None, *frame["district"][1:]]), "row 4 of its stream was altered"),
        (lambda frame: frame.rename(columns={"scoring_ms": "x", "district": "scoring_ms"}), "row 4 of its stream was"),
        (lambda frame: frame.drop(index=0), "row 4 of its stream was removed"),
        (lambda frame: frame.drop(index=2), "row 6 of its stream was removed"),
        (lambda frame: pd.concat([frame[:1], frame]), "a row was inserted as number 4, or moved there"),
        (lambda frame: frame[::-1], "row 4 of its stream was removed"),
        (lambda frame: frame, "its rows were not"),
        (lambda frame: frame.drop(columns="row_digest"), "it has no digests of its rows"),
    ],
)
def test_first_row_that_was_changed_is_named(
    change: Callable[[pd.DataFrame], pd.DataFrame], said: str, directory: Path
) -> None:
    path = files(directory)[1]
    rewrite(path, change)

    [problem] = verify(directory).problems

    assert problem.startswith(f"the file {FILE}{path.name} was altered")
    assert said in problem


def test_damaged_file_is_named(directory: Path) -> None:
    path = files(directory)[0]
    path.write_bytes(path.read_bytes()[:-20])

    assert verify(directory).problems == (f"the file {FILE}{path.name} was altered: it cannot be read any more",)


def test_removed_and_inserted_files_are_named(directory: Path) -> None:
    first, second, third = files(directory)
    second.unlink()
    forged = first.with_name("forged.parquet")
    forged.write_bytes(third.read_bytes())

    assert verify(directory).problems == (
        f"the file {FILE}{second.name} (3 rows) was removed",
        f"the file {FILE}forged.parquet was inserted: the ledger does not know it",
    )


def test_removed_streams_last_file_is_named_although_nothing_follows_it(directory: Path) -> None:
    files(directory)[2].unlink()

    [problem] = verify(directory).problems

    assert problem.endswith("(2 rows) was removed")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda found: [*found[:1], found[1].replace('"rows":3', '"rows":2'), *found[2:]],
            "line 2 of ledger.jsonl, entry 2 (written",
        ),
        (lambda found: [*found[:1], *found[2:]], "line 2 of ledger.jsonl: entry 2 before it was removed"),
        (lambda found: [*found[:1], *found[3:]], "line 2 of ledger.jsonl: entries 2 to 3 before it were removed"),
        (lambda found: found[1:], "line 1 of ledger.jsonl: entry 1 before it was removed"),
        (lambda found: [*found[:2], found[0], *found[2:]], "line 3 of ledger.jsonl (entry 1) was inserted or moved"),
        (lambda found: [*found[:2], "nonsense\n", *found[2:]], "line 3 of ledger.jsonl (entry 3) was altered"),
    ],
)
def test_first_entry_that_was_changed_is_named(
    change: Callable[[list[str]], list[str]], said: str, directory: Path
) -> None:
    put_lines(directory, change(lines(directory)))

    assert verify(directory).problems[0].startswith(said)


def test_ledger_that_was_cut_off_with_its_files_is_noticed_by_a_head_that_was_kept_elsewhere(directory: Path) -> None:
    head = verify(directory).head
    put_lines(directory, lines(directory)[:3])
    files(directory)[2].unlink()

    assert verify(directory).problems == ()
    [problem] = verify_log(directory, KEY, known_head=head).problems
    assert problem.startswith(f"the chain does not contain the head {head}")


def test_older_head_is_still_part_of_the_chain(directory: Path) -> None:
    head = verify(directory).head
    log = PredictionLog(directory, key=KEY, capacity_rows=100, flush_seconds=60)
    log.record([row(9)])
    log.stop()

    assert verify_log(directory, KEY, known_head=head).problems == ()


def test_who_does_not_hold_the_secret_cannot_write_a_ledger(directory: Path) -> None:
    assert "or KILOWISE_PSEUDONYM_KEY is not the one" in verify_log(directory, ledger_key(b"guessed")).problems[0]


def test_half_a_line_that_a_power_cut_left_is_no_change_and_is_removed(directory: Path) -> None:
    put_lines(directory, [*lines(directory), lines(directory)[0][:50]])
    assert verify(directory).problems == ()

    log = PredictionLog(directory, key=KEY, capacity_rows=100, flush_seconds=60)
    log.record([row(9)])
    log.stop()

    assert verify(directory).problems == ()
    assert verify(directory).rows_count == 9


def test_log_goes_on_after_a_damaged_last_line_which_stays_named(directory: Path) -> None:
    put_lines(directory, [*lines(directory)[:-1], "damaged\n"])

    log = PredictionLog(directory, key=KEY, capacity_rows=100, flush_seconds=60)
    log.record([row(9)])
    log.stop()

    assert len(files(directory)) == 4
    assert verify(directory).problems[0].startswith("line 5 of ledger.jsonl (entry 5) was altered")


def test_files_from_before_the_ledger_are_taken_in(directory: Path) -> None:
    (directory / LEDGER_FILE).unlink()
    log = PredictionLog(directory, key=KEY, capacity_rows=100, flush_seconds=60)
    log.record([row(9)])
    log.stop()

    found = verify(directory)

    assert found.problems == ()
    assert (found.adopted_count, found.files_count, found.rows_count) == (3, 4, 9)


def test_erased_rows_are_no_change_and_do_not_come_back(directory: Path) -> None:
    key_of_two = f"{2:032x}"
    before = files(directory)[0].read_bytes()

    assert erase_from_log(directory, KEY, key_of_two) == (1, 1)

    found = verify(directory)
    assert found.problems == ()
    assert (found.rows_count, found.erased_count) == (7, 1)
    assert key_of_two not in {
        key for path in files(directory) for key in pq.read_table(path)["customer_key"].to_pylist()
    }
    path = files(directory)[0]
    path.write_bytes(before)
    assert verify(directory).problems == (
        f"the file {FILE}{path.name} was altered: a row was inserted as number 2, or moved there",
    )


def test_file_of_erased_rows_only_is_gone_and_does_not_come_back(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, key=KEY, capacity_rows=100, flush_seconds=60)
    log.record([row(1)])
    log.stop()
    [path] = files(tmp_path)
    content = path.read_bytes()

    assert erase_from_log(tmp_path, KEY, f"{1:032x}") == (1, 1)

    assert (verify(tmp_path).problems, verify(tmp_path).files_count, verify(tmp_path).erased_count) == ((), 0, 1)
    path.write_bytes(content)
    assert verify(tmp_path).problems == (f"the file {FILE}{path.name} was put back after an erasure",)


def test_erasure_that_was_interrupted_is_completed_by_the_next(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Path, _target: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(OSError, match="Input/output"):
            erase_from_log(directory, KEY, f"{2:032x}")
    assert verify(directory).problems != ()

    assert erase_from_log(directory, KEY, f"{2:032x}") == (1, 1)

    assert verify(directory).problems == ()
    assert verify(directory).erased_count == 1
    assert not list(directory.rglob("*.erasing"))


def test_what_is_not_logged_needs_no_erasure(tmp_path: Path) -> None:
    assert erase_from_log(tmp_path / "none", KEY, "anybody") == (0, 0)
    assert verify(tmp_path / "none") == LogVerification()


def test_digest_holds_through_other_writers_of_parquet(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, key=KEY, capacity_rows=100, flush_seconds=60)
    full = LoggedPrediction(
        request_id="r",
        decision_id="d",
        decided_at=datetime(2026, 9, 5, tzinfo=UTC),
        use_case="segmentation",
        release="0001-x",
        model_version="x",
        customer_key=None,
        as_of_month=date(2026, 8, 1),
        district=None,
        features={"annual_kwh": 0.0},
        prediction={"segment_id": "R1"},
    )
    log.record([full])
    log.stop()
    [path] = files(tmp_path)

    pq.write_table(pa.Table.from_pandas(pq.read_table(path).to_pandas()), path, compression="none")

    assert verify(tmp_path).problems[0].endswith("was altered, its rows were not")
