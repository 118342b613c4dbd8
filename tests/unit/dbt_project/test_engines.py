"""The models are one for both engines: what one spells differently stands in a macro with a form for each."""

import re
from pathlib import Path

from orchestration.settings import DBT_PROJECT_DIR

MACROS = sorted((DBT_PROJECT_DIR / "macros").rglob("*.sql"))
MODELS = sorted(path for folder in ("models", "tests") for path in (DBT_PROJECT_DIR / folder).rglob("*.sql"))
# Its macros take the place of dbt-spark's own; what DuckDB uses there is dbt's.
SPARK_ONLY = "spark"


def forms(engine: str) -> set[str]:
    """Return what has a form for an engine."""
    written = "".join(path.read_text(encoding="utf-8") for path in MACROS if path.parent.name != SPARK_ONLY)
    return set(re.findall(rf"macro {engine}__(\w+)\(", written))


def test_every_macro_of_one_engine_has_a_form_for_the_other() -> None:
    for_duckdb = forms("duckdb") | forms("default")

    assert "quantile" in for_duckdb
    assert for_duckdb == forms("spark")


def test_no_model_or_test_asks_for_the_engine() -> None:
    asking = [path.name for path in MODELS if re.search(r"\btarget\.|adapter\.|env_var", path.read_text("utf-8"))]

    assert MODELS
    assert asking == []


def test_no_model_or_test_uses_what_one_engine_alone_knows() -> None:
    foreign = re.compile(
        r"\b(varchar|string_agg|list_\w+|arg_max|arg_min|quantile_cont|epoch\w*|strftime|unnest|hugeint|qualify)\b|::|//"
    )
    found = {path.name: match.group() for path in MODELS if (match := foreign.search(_sql_of(path)))}

    assert found == {}


def _sql_of(path: Path) -> str:
    """Return the SQL of a file without its comments."""
    return re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
