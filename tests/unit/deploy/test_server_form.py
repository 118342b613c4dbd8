"""Files of the profile server: they name settings that exist, hold no secret, and pass their own linters."""

import configparser
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestration.forms.processes import PROCESSES
from orchestration.forms.server import ServerSettings
from orchestration.settings import PlatformSettings
from tests.unit.deploy.conftest import DEPLOY, program

SERVER = DEPLOY / "server"
LINTERS = "pip install --no-deps --require-hashes -r requirements-deploy.lock"
MANIFESTS = sorted(path for path in (SERVER / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")
UNITS = sorted((SERVER / "systemd").glob("*.service"))
# Of the Compose file's .env, and what processes give to dagster.yaml.
OTHER_VARIABLES = {"KILOWISE_STATE", "KILOWISE_UID", "KILOWISE_GID", "KILOWISE_SECRETS", "KILOWISE_SERVER_COMPUTE_LOGS"}


def load(name: str) -> Any:
    return yaml.safe_load((SERVER / name).read_text())


def manifest(name: str) -> Any:
    return load(f"kubernetes/{name}.yaml")


def test_every_variable_is_a_setting() -> None:
    files = [path for path in SERVER.rglob("*") if path.is_file()]
    named = {name for path in files for name in re.findall(r"KILOWISE_[A-Z_]+[A-Z]", path.read_text())}

    known = {f"KILOWISE_{name.upper()}" for name in PlatformSettings.model_fields}
    known |= {f"KILOWISE_SERVER_{name.upper()}" for name in ServerSettings.model_fields}
    assert "KILOWISE_SERVER_POSTGRES_URL" in named
    assert named - known - OTHER_VARIABLES == set()


def test_each_form_of_supervision_has_each_process() -> None:
    units = {word for path in UNITS for word in re.findall(r"orchestration server ([a-z-]+)", path.read_text())}
    services = {name: service["command"][0] for name, service in load("compose.yaml")["services"].items()}
    deployments = {
        content["spec"]["template"]["spec"]["containers"][0]["args"][0]
        for content in (yaml.safe_load(path.read_text()) for path in MANIFESTS)
        if content["kind"] == "Deployment"
    }

    assert units == deployments == set(PROCESSES)
    assert set(services.values()) >= set(PROCESSES)


def test_kubernetes_has_the_same_instance_with_its_own_launcher() -> None:
    instance = load("dagster.yaml")
    in_kubernetes = yaml.safe_load(manifest("instance")["data"]["dagster.yaml"])

    assert in_kubernetes.pop("run_launcher")["class"] == "K8sRunLauncher"
    del instance["run_launcher"]
    assert in_kubernetes == instance


def test_the_launcher_of_kubernetes_accepts_its_settings() -> None:
    dagster_k8s = pytest.importorskip("dagster_k8s", reason="the group server is not installed: make env-server")
    from dagster._config import Field, process_config, resolve_to_config_type

    launcher = yaml.safe_load(manifest("instance")["data"]["dagster.yaml"])["run_launcher"]

    schema = resolve_to_config_type(Field(dagster_k8s.K8sRunLauncher.config_type()).config_type)
    outcome = process_config(schema, launcher["config"])
    assert outcome.success, outcome.errors


def test_there_is_one_daemon_and_it_is_gone_before_the_next_one_starts() -> None:
    spec = manifest("daemon")["spec"]

    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")


def test_no_file_holds_a_secret() -> None:
    for path in SERVER.rglob("*"):
        if path.is_file():
            assert not re.search(r"(postgresql|redis)://[^\s:]*:[^\s<$@]+@", path.read_text()), path
    assert all(yaml.safe_load(path.read_text())["kind"] != "Secret" for path in MANIFESTS)


def test_pods_have_no_rights_that_they_do_not_need() -> None:
    for path in MANIFESTS:
        content = yaml.safe_load(path.read_text())
        if content["kind"] != "Deployment":
            continue
        spec = content["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, path
        assert spec["containers"][0]["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        # Web server and daemon alone speak with Kubernetes.
        asks = content["metadata"]["name"] in ("kilowise-daemon", "kilowise-webserver")
        assert spec["automountServiceAccountToken"] is asks, path


def test_kustomization_names_every_manifest() -> None:
    assert load("kubernetes/kustomization.yaml")["resources"] == [path.name for path in MANIFESTS]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_fit_the_schema_of_kubernetes(path: Path) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason=f"kubernetes-validate is not installed: {LINTERS}")

    for version in ("1.30", "1.34"):
        validate.validate(yaml.safe_load(path.read_text()), version, strict=True)


def test_compose_publishes_on_loopback_only_and_mounts_what_exists() -> None:
    services = load("compose.yaml")["services"].values()
    published = [port for service in services for port in service.get("ports", ())]
    mounted = [entry.split(":")[0] for service in services for entry in service.get("volumes", ()) if entry[0] == "."]

    assert published == ["127.0.0.1:3000:3000"]
    assert mounted
    assert all((SERVER / source).is_file() for source in mounted)


def test_images_are_pinned() -> None:
    files = [SERVER / "compose.yaml", SERVER / "Dockerfile", *MANIFESTS]
    text = "\n".join(path.read_text() for path in files)

    images = re.findall(r"^\s*(?:image:|ARG \w+_IMAGE=)\s*(\S+)$", text, re.MULTILINE)
    assert len(images) >= 7
    assert all(re.fullmatch(r"[a-z./-]+:v?\d+\.\d+[0-9a-z.-]*", image) for image in images)


def test_dockerfile_passes_hadolint() -> None:
    finished = subprocess.run(
        [program("hadolint", LINTERS), SERVER / "Dockerfile"], capture_output=True, text=True, check=False
    )

    assert finished.returncode == 0, finished.stdout


def test_a_stop_lets_steps_end() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(SERVER / "systemd" / "kilowise-worker@.service")

    assert int(parser["Service"]["TimeoutStopSec"]) >= 3600
    assert manifest("worker")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 3600
    assert load("compose.yaml")["services"]["worker"]["stop_grace_period"] == "1h"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_pass_systemds_verification_and_expose_little(path: Path, tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "it comes with systemd")
    for file in (SERVER / "systemd").iterdir():
        text = file.read_text().replace("/opt/kilowise/platform/.venv/bin/python", sys.executable)
        (tmp_path / file.name).write_text(text)
    installed = tmp_path / path.name.replace("@.", "@1.")
    if not installed.exists():
        installed.symlink_to(tmp_path / path.name)

    verified = subprocess.run([analyze, "verify", installed], capture_output=True, text=True, check=False)
    exposure = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", tmp_path / path.name],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "kilowise-" not in verified.stderr, verified.stderr
    assert exposure.returncode == 0, exposure.stdout
