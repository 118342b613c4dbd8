"""A dbt project to run on small landings: one parse per session, one warehouse per test that asks for it."""

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from ml.columns import USE_CASES
from orchestration.predictions import write_source_contracts
from tests.integration.dbt.dbt_process import run_dbt
from tests.integration.dbt.landing_factory import LandingFactory

PROJECT = Path(__file__).resolve().parents[3] / "dbt_project"
ZONE = "Europe/Berlin"
WAREHOUSE_FILE = "kilowise.duckdb"


class DbtFailedError(AssertionError):
    """dbt ended with an error; the message is its output."""


@dataclass(frozen=True, slots=True)
class DbtProject:
    """Runs dbt as the platform does, on the landing to which a link points.

    Attributes:
        work: Folder of the link, the compiled project and the warehouses.
    """

    work: Path

    def use(self, landing: LandingFactory) -> None:
        """Let the next runs read this landing."""
        link = self.work / "landing"
        link.unlink(missing_ok=True)
        link.symlink_to(landing.path)

    def run(self, command: str, warehouse: str, *arguments: str) -> dict[str, str]:
        """Run a dbt command on a warehouse.

        Args:
            command: dbt command, such as ``build``.
            warehouse: Name of the warehouse; a new name is an empty warehouse.
            arguments: Further arguments of dbt.

        Returns:
            Message of each node by its name.
        """
        variables = {
            "landing_path": str(self.work / "landing"),
            "predictions_path": str(self.work / "predictions"),
            "time_zone": ZONE,
            "jurisdiction": "DE",
        }
        self.path(warehouse).parent.mkdir(parents=True, exist_ok=True)
        words = [
            *("--quiet", command, "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
            *("--target-path", str(self.work / "target"), "--log-path", str(self.work / "logs")),
            *("--vars", json.dumps(variables), *arguments),
        ]
        output = self.work / "output.txt"
        if run_dbt(words, self.path(warehouse), output) != 0:
            raise DbtFailedError(output.read_text(encoding="utf-8"))
        results = json.loads((self.work / "target" / "run_results.json").read_text())["results"]
        return {result["unique_id"].split(".")[2]: result["message"] or "" for result in results}

    def path(self, warehouse: str) -> Path:
        """Return the DuckDB file of a warehouse."""
        return self.work / "warehouses" / warehouse / WAREHOUSE_FILE

    def read(self, warehouse: str, query: str) -> pd.DataFrame:
        """Return the rows of a query on a warehouse."""
        with duckdb.connect(str(self.path(warehouse)), read_only=True) as connection:
            return connection.execute(query).df()


@pytest.fixture(scope="session")
def dbt_project(tmp_path_factory: pytest.TempPathFactory) -> DbtProject:
    """The project, for all landings of the session."""
    project = DbtProject(tmp_path_factory.mktemp("dbt"))
    write_source_contracts(project.work / "predictions", USE_CASES)
    return project
