"""Runs of the main job on public data, one per data set and session."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.platform_home import PlatformHome
from tests.integration.real_data.real_data_run import RealDataRun, settings_on_page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/integration/real_data" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(3600))
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def run_as_on_page(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RealDataRun]:
    """Run the command that the page shows below a heading."""

    def run(heading: str) -> RealDataRun:
        home = PlatformHome(tmp_path_factory.mktemp("real_data") / "home", settings_on_page(heading, shared_data))
        done = home.run()
        assert done.stdout, done.stderr
        return RealDataRun(home, done.returncode, done.stdout)

    return run
