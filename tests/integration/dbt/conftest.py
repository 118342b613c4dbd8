"""A dbt project to run on small landings: one parse per session, one warehouse per test that asks for it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from ml.columns import USE_CASES
from orchestration.predictions import write_source_contracts
from tests.integration.dbt.landing_factory import LandingFactory

ROOT = Path(__file__).resolve().parents[3]
PROJECT = ROOT / "dbt_project"
PARSED_DBT = ROOT / "orchestration" / "parsed_dbt.py"
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
        completed = subprocess.run(
            [
                sys.executable,
                "-P",
                str(PARSED_DBT),
                "--quiet",
                command,
                "--project-dir",
                str(PROJECT),
                "--profiles-dir",
                str(PROJECT),
                "--target-path",
                str(self.work / "target"),
                "--log-path",
                str(self.work / "logs"),
                "--vars",
                json.dumps(variables),
                *arguments,
            ],
            env={**os.environ, "KILOWISE_WAREHOUSE_PATH": str(self.path(warehouse))},
            capture_output=True,
            text=True,
            check=False,
        )
        if completed.returncode != 0:
            raise DbtFailedError(completed.stdout + completed.stderr)
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
