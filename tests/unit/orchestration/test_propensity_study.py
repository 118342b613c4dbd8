"""A table of customers with a known outcome, mapped to features and judged, and what is said when that cannot be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orchestration.propensity_study import PropensityMapping, PropensityMappingError, main

MAPPING = """
source: list
as_of_month: 2025-12-01
horizon_months: 3
target: leaving
customer_key: client
label: gone = 'yes'
features:
  annual_margin_amount: margin / 2
  tenure_months: "date_diff('month', since, date '2025-12-31')"
  sales_channel: channel
"""


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "mapping.yaml"
    path.write_text(MAPPING, encoding="utf-8")
    return path


def clients(path: Path, count: int, seed: int) -> Path:
    generator = np.random.default_rng(seed)
    margin = generator.normal(0, 1, count)
    gone = generator.random(count) < 1 / (1 + np.exp(2 - 2 * margin))
    pd.DataFrame(
        {
            "client": [f"{seed}-{number}" for number in range(count)],
            "margin": margin,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(generator.integers(0, 1500, count), unit="D"),
            "channel": generator.choice(["agent", "web"], count),
            "gone": np.where(gone, "yes", "no"),
        }
    ).to_parquet(path)
    return path


def test_a_list_of_clients_is_judged_and_foretells_others(
    tmp_path: Path, mapping: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, unseen = clients(tmp_path / "list.parquet", 1500, 1), clients(tmp_path / "unseen.parquet", 300, 2)
    scores = tmp_path / "scores.csv"

    code = main([str(mapping), str(table), "--unseen", str(unseen), "--scores", str(scores)])

    printed = capsys.readouterr().out
    written = pd.read_csv(scores)
    assert code == 0
    assert "Held out by customer: " in printed
    assert "Released: AUC 0." in printed
    assert "unseen customers" in printed
    assert len(written) == 300
    assert written["probability"].between(0, 1).all()
    assert set(written["reason"].dropna()) <= {"annual_margin_amount", "tenure_months", "sales_channel"}


def test_too_few_clients_are_said_to_be_too_few(
    tmp_path: Path, mapping: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([str(mapping), str(clients(tmp_path / "list.parquet", 60, 1)), "--unseen", str(mapping)])

    told = capsys.readouterr()
    assert code == 1
    assert "50 are needed" in told.out
    assert "there is no model to judge" in told.err


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("sales_channel: channel", "shoe_size: channel", "shoe_size: no such input; there are customer_class, "),
        ("margin / 2", "no_such_column", "list cannot be mapped from"),
        ("customer_key: client", "customer_key: channel", "holds a customer twice"),
        ("target: leaving", "target: theft", "target: "),
        ("source: list", "source: [", "is not YAML"),
    ],
)
def test_what_a_mapping_gets_wrong_is_named(
    tmp_path: Path, mapping: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, sentence: str
) -> None:
    mapping.write_text(MAPPING.replace(old, new), encoding="utf-8")

    code = main([str(mapping), str(clients(tmp_path / "list.parquet", 20, 1))])

    assert code == 1
    assert sentence in capsys.readouterr().err


def test_missing_files_are_named(tmp_path: Path, mapping: Path) -> None:
    with pytest.raises(PropensityMappingError, match="there is no mapping"):
        PropensityMapping.read(tmp_path / "none.yaml")
    with pytest.raises(PropensityMappingError, match="there is no file"):
        PropensityMapping.read(mapping).rows(tmp_path / "none.parquet")
