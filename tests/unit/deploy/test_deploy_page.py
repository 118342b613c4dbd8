"""The page for operators names what there is: metrics with their labels, alerts, settings with their defaults."""

import re
from pathlib import Path

import yaml

from serving.settings import ServingSettings
from tests.unit.deploy.conftest import DEPLOY
from tests.unit.deploy.test_monitoring import labels_by_series

PAGE = (DEPLOY.parent / "docs" / "deploy.md").read_text()


def rows(chapter: str) -> list[list[str]]:
    """Return the cells of the table of a chapter, without its head."""
    text = PAGE.split(f"\n## {chapter}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_every_metric_is_told_with_its_labels() -> None:
    told = {name: words(labels) for cell, labels, _ in rows("Metrics") for name in words(cell)}

    series = {
        name.removesuffix("_count"): labels
        for name, labels in labels_by_series().items()
        if not name.endswith(("_bucket", "_sum"))
    }
    assert told == series


def test_every_alert_is_told_with_its_severity() -> None:
    told = {name: severity for cell, severity, _ in rows("Alerts") for name in words(cell)}

    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    assert told == {rule["alert"]: rule["labels"]["severity"] for group in groups for rule in group["rules"]}


def test_settings_are_told_with_their_defaults() -> None:
    fields = ServingSettings.model_fields
    for cell, default, _ in rows("Settings"):
        (name,) = words(cell)
        value = fields[name.lower()].default
        if value is not None:
            assert default.strip("`").replace(",", "").lower() == str(value).lower(), name


def test_links_lead_to_files_that_exist() -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE)

    assert targets
    assert [target for target in targets if not (DEPLOY.parent / "docs" / Path(target)).exists()] == []
