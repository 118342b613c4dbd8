"""The finished home that integration tests share: the main job, done once per session by the real command."""

import fcntl
import os
from pathlib import Path

import pytest

from tests.integration.platform_home import PlatformHome

# The smallest supplier whose three models pass their gates with a margin. Of so few customers too few leave a bill
# unpaid for 30 days, so here ten days make a default.
FINISHED_HOME_CHOICES = {"simulated_customers": 420, "default_days": 10, "review_months": 1}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one file make the finished home while those go on that need none: a worker would wait for another one's."""
    needing = dict.fromkeys(item.path for item in items if "finished_home" in getattr(item, "fixturenames", ()))
    first = next(iter(needing), None)

    def turn(item: pytest.Item) -> tuple[bool, int]:
        group = 0 if item.path == first else 2 if item.path in needing else 1
        return Path(__file__).parent not in item.path.parents, group

    items.sort(key=turn)


@pytest.fixture(scope="session")
def finished_home(tmp_path_factory: pytest.TempPathFactory) -> PlatformHome:
    """A home in which the main job has finished; read-only, take ``copy_to`` to change anything.

    It is made once per session, also by several workers. ``KILOWISE_FINISHED_HOME`` names a folder that keeps it
    between sessions, for somebody who works on these tests.
    """
    root = tmp_path_factory.getbasetemp()
    # Workers have folders of their own inside the session's.
    shared_root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    path = Path(os.environ.get("KILOWISE_FINISHED_HOME", shared_root / "finished_home"))
    home = PlatformHome(path, FINISHED_HOME_CHOICES)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _summary_path(path).with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _summary_path(path).exists():
            done = home.run()
            assert done.returncode == 0, done.stdout + done.stderr
            _summary_path(path).write_text(done.stdout, encoding="utf-8")
    return home


@pytest.fixture(scope="session")
def finished_summary(finished_home: PlatformHome) -> str:
    """What the main job of the finished home said at its end."""
    return _summary_path(finished_home.path).read_text(encoding="utf-8")


def _summary_path(home: Path) -> Path:
    return home.with_name(f"{home.name}.summary.txt")
