"""Fixtures that more than one area uses: where public data is, and a dbt manifest for everything that reads it."""

import gc
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from orchestration.manifest import renew_manifest

PROJECT_ROOT = Path(__file__).resolve().parent.parent

# Tools read these when they are imported, so they are set before any test module is.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")

# The same examples in every run, so that what fails is the change and not the dice, and no limit of time, which a busy
# machine would break. HYPOTHESIS_PROFILE=explore looks for new examples.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("reproducible", settings.get_profile("explore"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "reproducible"))


# Here, and not in a hook: the conftest files of the folders below import the assets, which are made from the manifest.
renew_manifest()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage after the libraries are loaded, and never again in what they made.

    Looking meanwhile takes a fifth of the time of loading them: they make half a million objects, and all of them stay.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Leave SIGTERM to the next test as this one found it.

    Dagster makes a process that ran a job treat SIGTERM as SIGINT, which programs in the background of a script ignore.
    """
    handler = signal.getsignal(signal.SIGTERM)
    try:
        return (yield)
    finally:
        signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the public data sets; tests that need them skip where it is absent."""
    default = PROJECT_ROOT.parent / "shared" / "data"
    folder = Path(os.environ.get("KILOWISE_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"public data sets not found in {folder}; set KILOWISE_SHARED_DATA to their folder")
    return folder
