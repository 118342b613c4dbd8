"""``python -m serving`` starts the API; ``python -m serving new-key`` makes an API key."""

import argparse
import hashlib
import os
import secrets
import sys

from pydantic import ValidationError

from ml.errors import KilowiseError
from serving.policy_desk import PolicyDesk
from serving.settings import PROJECT_ROOT, ServingSettings

SERVICE = "serving.service:KilowiseService"


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m serving", description="The HTTP API of Kilowise")
    parser.add_argument("command", nargs="?", choices=["serve", "new-key"], default="serve")
    if parser.parse_args(arguments).command == "new-key":
        return _new_key()
    try:
        settings = ServingSettings()
        # A worker that cannot start would be started again and again, and its reason be buried.
        PolicyDesk.of(settings)
    except (KilowiseError, ValidationError) as error:
        print(f"the API does not start: {error}", file=sys.stderr)
        return 2
    return _serve(settings)


def server_environment(settings: ServingSettings) -> dict[str, str]:
    """Return the variables under which BentoML must run, beside those that are set already."""
    return {
        "BENTOML_HOME": str(settings.bentoml_home),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_CONFIG_OPTIONS": f"services.kilowise.workers={settings.workers}",
        "DO_NOT_TRACK": "1",
        "OTEL_SDK_DISABLED": "true",
        # One thread per prediction: the server's requests are its parallelism.
        "OMP_NUM_THREADS": "1",
        "KILOWISE_HOME": str(settings.home),
    }


def _serve(settings: ServingSettings) -> int:
    settings.bentoml_home.mkdir(parents=True, exist_ok=True)
    print(f"Kilowise API on http://{settings.host}:{settings.port} (pages: /docs, /readyz, /metrics)", flush=True)
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE]
    command += ["--host", settings.host, "--port", str(settings.port), "--working-dir", str(PROJECT_ROOT)]
    # Replaces this process, so that a signal reaches BentoML's supervisor and its exit status is ours.
    os.execve(sys.executable, command, {**os.environ, **server_environment(settings)})  # noqa: S606  # no shell


def _new_key() -> int:
    key = secrets.token_urlsafe(32)
    print(f"key, shown once, for the caller:     {key}")
    print(f"entry for KILOWISE_API_KEYS:         {hashlib.sha256(key.encode()).hexdigest()}")
    print('KILOWISE_API_KEYS is a JSON list, for example \'["<entry>", "<entry of another caller>"]\'')
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
