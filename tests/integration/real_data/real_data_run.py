"""A run of the main job on public data, with the settings that the page ``docs/public-data.md`` shows."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ml.bundle import Bundle
from ml.gate import GateDecision
from ml.sufficiency import SufficiencyReport
from orchestration.lifecycle import decision_dir, read_challenger
from orchestration.marts import MartsVersion, current_marts
from orchestration.settings import PROJECT_ROOT
from orchestration.use_cases import USE_CASES
from tests.integration.platform_home import PlatformHome

PAGE = PROJECT_ROOT / "docs" / "public-data.md"


@dataclass(frozen=True)
class RealDataRun:
    """What the main job left behind and said.

    Attributes:
        home: The state folder with its settings.
        exit_code: Of the command.
        summary: What the command printed at its end.
    """

    home: PlatformHome
    exit_code: int
    summary: str

    @property
    def marts(self) -> MartsVersion:
        return current_marts(self.home.settings.marts_dir)

    @property
    def after_models(self) -> MartsVersion:
        """Marts that tell of predictions."""
        return current_marts(self.home.settings.after_models_marts_dir)

    def challenger(self, use_case: str) -> Bundle | None:
        """Return the bundle that the run trained, if it did."""
        return read_challenger(use_case, self.home.settings)

    def decision(self, use_case: str) -> GateDecision:
        """Return what the gate said about the trained bundle."""
        challenger = self.challenger(use_case)
        assert challenger is not None, f"no model of {use_case} was trained"
        folder = decision_dir(self.home.settings, use_case, challenger.manifest.version)
        assert (folder / "model_card.html").exists()
        return GateDecision.model_validate_json((folder / "decision.json").read_bytes())

    def sufficiency(self, use_case: str) -> SufficiencyReport:
        """Return what a use case says about the data."""
        adapter = next(adapter for adapter in USE_CASES if adapter.name == use_case)
        return adapter.check(self.marts, self.home.settings)


def query(sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a question to Parquet files."""
    with duckdb.connect(config={"threads": 2}) as connection:
        return connection.execute(sql).fetchall()


def settings_on_page(heading: str, public_data: Path) -> dict[str, object]:
    """Return the settings before the first ``make run`` below a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n", maxsplit=1)[1]
    found = re.search(r"```bash\n(.*?)make run\n```", section, re.DOTALL)
    assert found is not None
    values = dict(word.split("=", maxsplit=1) for word in shlex.split(found[1].replace("\\\n", " ")))
    del values["KILOWISE_HOME"]
    values["KILOWISE_INBOX"] = values["KILOWISE_INBOX"].replace("$PUBLIC_DATA", str(public_data))
    values["KILOWISE_MAPPING"] = str(PROJECT_ROOT / values["KILOWISE_MAPPING"])
    return {name.removeprefix("KILOWISE_").lower(): value for name, value in values.items()}
