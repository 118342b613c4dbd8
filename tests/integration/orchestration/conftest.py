"""Time limits: these tests run whole jobs, and the first one that needs the finished home waits for it."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/integration/orchestration" in item.path.as_posix():
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(3600))
            item.add_marker(pytest.mark.slow)
