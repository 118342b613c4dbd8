"""Container, Compose, Kubernetes and systemd files say what is true of the API, and pass their own linters."""

import configparser
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.settings import ServingSettings
from tests.unit.deploy.conftest import DEPLOY, KUBERNETES_FILES, program

LINTERS = "pip install --no-deps --require-hashes -r requirements-deploy.lock"
FILES_WITH_SETTINGS = sorted(
    path
    for path in (*DEPLOY.glob("docker/*"), *DEPLOY.glob("compose/*"), *KUBERNETES_FILES, *DEPLOY.glob("systemd/*"))
    if path.is_file()
)
# What the Compose file asks of its .env beside the API's settings.
COMPOSE_VARIABLES = {"KILOWISE_STATE", "KILOWISE_UID", "KILOWISE_GID", "KILOWISE_METRICS_KEY_FILE"}
FLUSH_SECONDS = 15


def written_folders() -> set[str]:
    """Return the folders of the state that the API writes."""
    settings = ServingSettings(_env_file=None, home=Path("/data"))
    written = (
        settings.prediction_log_dir,
        settings.denied_calls_dir,
        settings.idempotency_path,
        settings.usage_path,
    )
    return {path.relative_to("/data").parts[0] for path in written}


def pod(manifests: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return manifests["Deployment"]["spec"]["template"]["spec"]


def container(manifests: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return pod(manifests)["containers"][0]


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(DEPLOY / "systemd" / "kilowise-api.service")
    return parser


@pytest.mark.parametrize("path", FILES_WITH_SETTINGS, ids=lambda path: path.name)
def test_every_variable_is_a_setting_of_the_api(path: Path) -> None:
    named = set(re.findall(r"KILOWISE_[A-Z_]+", path.read_text()))

    known = {f"KILOWISE_{name.upper()}" for name in ServingSettings.model_fields}
    assert named - known - COMPOSE_VARIABLES == set()


def test_the_config_map_holds_values_that_the_api_starts_with(
    manifests: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in manifests["ConfigMap"]["data"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KILOWISE_PSEUDONYM_KEY", "a secret of thirty-two characters")

    settings = ServingSettings(_env_file=None)

    assert settings.environment == "production"
    assert settings.log_format == "json"


def test_ports_and_probes_are_those_of_the_api(manifests: dict[str, dict[str, Any]]) -> None:
    api = container(manifests)
    (port,) = api["ports"]
    assert str(port["containerPort"]) == manifests["ConfigMap"]["data"]["KILOWISE_PORT"]
    for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        assert api[probe]["httpGet"] == {"path": path, "port": port["name"]}
    assert [entry["targetPort"] for entry in manifests["Service"]["spec"]["ports"]] == [port["name"]]


def test_a_stop_leaves_time_for_requests_and_log(manifests: dict[str, dict[str, Any]], compose: dict[str, Any]) -> None:
    needed = ServingSettings(_env_file=None).shutdown_seconds + FLUSH_SECONDS
    wait = int(container(manifests)["lifecycle"]["preStop"]["exec"]["command"][1])

    assert pod(manifests)["terminationGracePeriodSeconds"] >= needed + wait
    assert int(compose["services"]["api"]["stop_grace_period"].removesuffix("s")) >= needed
    assert int(unit()["Service"]["TimeoutStopSec"]) >= needed


def test_only_what_the_api_writes_is_writable(manifests: dict[str, dict[str, Any]], compose: dict[str, Any]) -> None:
    mounts = container(manifests)["volumeMounts"]
    in_kubernetes = {
        entry["mountPath"].removeprefix("/data/")
        for entry in mounts
        if entry["mountPath"].startswith("/data/") and not entry.get("readOnly")
    }
    volumes = compose["services"]["api"]["volumes"]
    in_compose = {entry.rsplit("/", 1)[1] for entry in volumes if not entry.endswith(":ro")}
    paths = re.findall(
        r"^ReadWritePaths=(.*)$", (DEPLOY / "systemd" / "kilowise-api.service").read_text(), re.MULTILINE
    )
    in_systemd = {path.removeprefix("-/var/lib/kilowise/") for line in paths for path in line.split()}
    (made,) = pod(manifests)["initContainers"]

    assert in_kubernetes == in_compose == in_systemd == written_folders()
    assert {path.removeprefix("/data/") for path in made["command"][2:]} == written_folders()
    assert next(entry for entry in mounts if entry["mountPath"] == "/data")["readOnly"] is True
    assert volumes[0].endswith(":/data:ro")


def test_pods_have_no_rights_that_the_api_does_not_need(manifests: dict[str, dict[str, Any]]) -> None:
    spec = pod(manifests)

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    for entry in (*spec["containers"], *spec["initContainers"]):
        assert entry["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} == set(entry["resources"])


def test_secrets_are_referred_to_and_never_held(manifests: dict[str, dict[str, Any]]) -> None:
    assert "Secret" not in manifests
    assert "KILOWISE_PSEUDONYM_KEY" not in manifests["ConfigMap"]["data"]
    (reference,) = container(manifests)["env"]
    assert reference["name"] == "KILOWISE_PSEUDONYM_KEY"
    assert "secretKeyRef" in reference["valueFrom"]


def test_every_selector_selects_the_pods_of_the_api(manifests: dict[str, dict[str, Any]]) -> None:
    labels = {"app.kubernetes.io/name": "kilowise-api"}

    assert manifests["Deployment"]["spec"]["template"]["metadata"]["labels"] == labels
    assert manifests["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert manifests["Service"]["spec"]["selector"] == labels
    assert manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "kilowise-api"


def test_images_are_pinned() -> None:
    text = "\n".join(path.read_text() for path in FILES_WITH_SETTINGS)

    images = re.findall(r"^\s*(?:image:|ARG \w+_IMAGE=)\s*(\S+)$", text, re.MULTILINE)

    assert len(images) >= 5
    assert all(re.fullmatch(r"[a-z./-]+:v?\d+\.\d+\.\d+[a-z0-9.-]*", image) for image in images)


def test_kustomization_names_every_manifest() -> None:
    content = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())

    assert content["resources"] == [path.name for path in KUBERNETES_FILES]


def compose_services() -> list[dict[str, Any]]:
    files = [yaml.safe_load(path.read_text()) for path in (DEPLOY / "compose").glob("*.yaml")]
    return [service for content in files for service in content["services"].values()]


def test_compose_publishes_on_loopback_only() -> None:
    published = [port for service in compose_services() for port in service.get("ports", ())]

    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_compose_mounts_files_that_exist() -> None:
    volumes = [entry for service in compose_services() for entry in service.get("volumes", ())]
    sources = [entry.split(":")[0] for entry in volumes if entry.startswith("../")]

    assert sources
    assert all((DEPLOY / "compose" / source).is_file() for source in sources)


@pytest.mark.parametrize("path", KUBERNETES_FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("version", ["1.30", "1.34"])
def test_manifests_fit_the_schema_of_kubernetes(path: Path, version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason=f"kubernetes-validate is not installed: {LINTERS}")

    validate.validate(yaml.safe_load(path.read_text()), version, strict=True)


def test_yaml_files_pass_yamllint() -> None:
    command = [program("yamllint", LINTERS), "--strict", "-c", DEPLOY / ".yamllint.yml", DEPLOY]

    finished = subprocess.run(command, capture_output=True, text=True, check=False)

    assert finished.returncode == 0, finished.stdout


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.release"])
def test_dockerfiles_pass_hadolint(name: str) -> None:
    finished = subprocess.run(
        [program("hadolint", LINTERS), DEPLOY / "docker" / name], capture_output=True, text=True, check=False
    )

    assert finished.returncode == 0, finished.stdout


def test_the_unit_passes_systemds_verification_and_exposes_little(tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "it comes with systemd")
    text = (DEPLOY / "systemd" / "kilowise-api.service").read_text()
    # The verification demands that the program exists.
    installed = tmp_path / "kilowise-api.service"
    installed.write_text(text.replace("/opt/kilowise/venv/bin/python", sys.executable))

    verified = subprocess.run([analyze, "verify", installed], capture_output=True, text=True, check=False)
    # Of 100: lower is less exposed; units without any hardening have 96.
    exposure = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", installed],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "kilowise-api.service" not in verified.stderr, verified.stderr
    assert exposure.returncode == 0, exposure.stdout
