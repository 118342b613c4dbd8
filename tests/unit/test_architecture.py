"""The architecture holds: import directions, and one name per column from the mart to the report."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ml.credit_risk import schema as credit_schema
from ml.segmentation import schema as segmentation_schema
from ml.tariff_matching import schema as tariff_schema

PROJECT_ROOT = Path(__file__).resolve().parents[2]

FEATURE_MARTS = {
    "customer_segmentation_features": segmentation_schema.FEATURES,
    "customer_tariff_features": tariff_schema.FEATURES,
    "customer_credit_features": credit_schema.FEATURES,
}


def test_packages_import_in_one_direction() -> None:
    finished = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 0, finished.stdout


@pytest.mark.parametrize("mart", FEATURE_MARTS)
def test_mart_contract_names_the_features_in_their_order(mart: str) -> None:
    manifest = json.loads((PROJECT_ROOT / "dbt_project/target/manifest.json").read_text(encoding="utf-8"))
    columns = list(manifest["nodes"][f"model.kilowise.{mart}"]["columns"])

    features = [column.name for column in FEATURE_MARTS[mart]]

    assert columns[-len(features) :] == features


def test_importing_the_definitions_loads_no_heavy_library() -> None:
    probe = (
        "import sys, orchestration.definitions; "
        "print(*[name for name in ('xgboost', 'sklearn', 'evidently', 'bentoml', 'matplotlib', 'duckdb') "
        "if name in sys.modules])"
    )

    finished = subprocess.run(
        [sys.executable, "-c", probe], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )

    assert finished.stdout.split() == []


def test_no_column_is_written_as_an_enum() -> None:
    # DuckDB 2.0 writing an ENUM to Parquet with two threads: about one file in sixty lost a label to an empty text.
    sources = [*PROJECT_ROOT.glob("orchestration/**/*.py"), *PROJECT_ROOT.glob("dbt_project/m*/**/*.sql")]

    enums = [path.name for path in sources if re.search(r"\benum\s*\(|\bas enum\b", path.read_text(encoding="utf-8"))]

    assert enums == []
