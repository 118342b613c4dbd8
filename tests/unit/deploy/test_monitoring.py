"""Dashboard and alerts ask for metrics and labels that the API has, in expressions that Prometheus understands."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from serving import metrics
from tests.unit.deploy.conftest import DEPLOY, program

ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "kilowise-api.json"
PROMTOOL = "it comes with Debian's package prometheus"
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


def labels_by_series() -> dict[str, set[str]]:
    """Return the labels of each time series that the API exposes."""
    found: dict[str, set[str]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for suffix in SUFFIXES[metric._type]:
                found[metric._name + suffix] = {*metric._labelnames, *(("le",) if suffix == "_bucket" else ())}
    return found


def dashboard() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return content


def dashboard_expressions() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]


def alert_expressions() -> list[str]:
    return [rule["expr"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("expression", [*dashboard_expressions(), *alert_expressions()])
def test_expressions_ask_for_series_and_labels_that_exist(expression: str) -> None:
    known = labels_by_series()
    named = set(re.findall(r"\b(kilowise_\w+|up)\b(?!\")", expression)) - {"kilowise"}
    matchers = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", expression))
    grouped = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}

    assert named
    assert named - {"up"} <= known.keys()
    # job and instance come from the scrape.
    assert matchers | grouped <= set().union(*(known.get(name, set()) for name in named), {"job", "instance"})


def test_every_metric_has_a_panel_or_an_alert() -> None:
    asked = " ".join([*dashboard_expressions(), *alert_expressions()])
    bases = {re.sub(r"_(bucket|count|sum)$", "", name) for name in labels_by_series()}

    assert {name for name in bases if name not in asked} <= {"kilowise_denied_call_lines_total"}


def test_panels_have_a_title_a_sentence_and_a_place_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"].endswith(".")


def test_alerts_say_what_is_wrong_and_what_to_do() -> None:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"page", "ticket"}
            assert rule["annotations"].keys() == {"summary", "action"}


def test_prometheus_understands_rules_and_configuration(tmp_path: Path) -> None:
    promtool = program("promtool", PROMTOOL)
    expressions = [
        expression.replace("$job", ".+").replace("$__rate_interval", "5m") for expression in dashboard_expressions()
    ]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions)]
    as_rules = tmp_path / "dashboard.yml"
    as_rules.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    checks = [
        [promtool, "check", "rules", as_rules, ALERTS],
        [promtool, "check", "config", "--syntax-only", DEPLOY / "prometheus" / "prometheus.yml"],
    ]
    for command in checks:
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stdout + finished.stderr


def test_alerts_fire_and_rest_as_their_own_tests_say() -> None:
    command = [program("promtool", PROMTOOL), "test", "rules", DEPLOY / "prometheus" / "alerts_test.yml"]

    finished = subprocess.run(command, capture_output=True, text=True, check=False)

    assert finished.returncode == 0, finished.stdout + finished.stderr
