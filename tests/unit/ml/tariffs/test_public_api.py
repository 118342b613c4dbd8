"""What ``ml.tariffs`` offers by itself: documented, complete, and light to import."""

import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ml.tariffs

ROOT = Path(__file__).parents[4]
DATA_FRAMES = ("pandas", "polars", "pyarrow")


def modules_after(code: str) -> set[str]:
    """Return the packages that are loaded after running ``code`` in a new process."""
    shown = f"{code}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    found = subprocess.run(
        [sys.executable, "-c", shown], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )
    return set(found.stdout.split())


def test_the_example_of_the_package_runs() -> None:
    failures, examples = doctest.testmod(ml.tariffs)

    assert failures == 0
    assert examples > 0


@pytest.mark.parametrize("name", ml.tariffs.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert name in dir(ml.tariffs)
    assert inspect.getdoc(getattr(ml.tariffs, name))


def test_a_name_that_is_not_public_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_everything'"):
        _ = ml.tariffs.load_everything


def test_importing_the_package_and_reading_a_tariff_loads_no_data_frames() -> None:
    path = "ml/tariffs/catalogue/shandong_residential.yaml"
    code = f"""
import yaml
from ml.tariffs import load_tariff, tariff_to_yaml
with open({path!r}, encoding="utf-8") as file:
    tariff_to_yaml(load_tariff(yaml.safe_load(file)["tariffs"][0]))
"""

    assert modules_after(code).isdisjoint(DATA_FRAMES)
