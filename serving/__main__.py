"""``python -m serving`` starts the API; ``keys`` manages the keys of its callers, ``log`` the log."""

import argparse
import logging
import os
import sys

from pydantic import ValidationError

from ml.errors import KilowiseError
from serving.access import key_ring_of
from serving.key_commands import add_keys_parser, run_keys_command
from serving.log_commands import add_log_parser, run_log_command
from serving.logs import configure_logging
from serving.policy_desk import PolicyDesk
from serving.settings import PROJECT_ROOT, ServingSettings
from serving.terminal import say
from serving.tracing import check_traces

SERVICE = "serving.service:KilowiseService"


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m serving", description="The HTTP API of Kilowise")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="start the API (also without any command)")
    add_keys_parser(commands)
    add_log_parser(commands)
    options = parser.parse_args(arguments)
    if options.command == "keys":
        return _run_keys(options)
    if options.command == "log":
        return _run_log(options)
    try:
        settings = ServingSettings()
        # A worker that cannot start would be started again and again, and its reason be buried.
        key_ring_of(settings)
        PolicyDesk.of(settings)
        check_traces(settings.traces)
    except (KilowiseError, ValidationError) as error:
        print(f"the API does not start: {error}", file=sys.stderr)
        return 2
    return _serve(settings)


def server_environment(settings: ServingSettings) -> dict[str, str]:
    """Return the variables under which BentoML must run, beside those that are set already."""
    return {
        "BENTOML_HOME": str(settings.server_dir),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_CONFIG_OPTIONS": f"services.kilowise.workers={settings.workers}",
        "DO_NOT_TRACK": "1",
        # BentoML makes spans of its own, which cost a fifth of the throughput, unless the whole SDK is off.
        "OTEL_SDK_DISABLED": "true" if settings.traces == "off" else "false",
        # One thread per prediction: the server's requests are its parallelism.
        "OMP_NUM_THREADS": "1",
        "KILOWISE_HOME": str(settings.home),
    }


def server_command(settings: ServingSettings) -> list[str]:
    """Return the command that runs BentoML's supervisor."""
    command = [sys.executable, "-m", "bentoml", "serve", SERVICE]
    command += ["--host", settings.host, "--port", str(settings.port), "--working-dir", str(PROJECT_ROOT)]
    command += ["--timeout-graceful-shutdown", str(settings.shutdown_seconds)]
    # The supervisor knows no JSON: there only its errors are let out.
    return [*command, "--quiet"] if settings.log_format == "json" else command


def _serve(settings: ServingSettings) -> int:
    settings.server_dir.mkdir(parents=True, exist_ok=True)
    configure_logging(settings.log_format)
    address = f"http://{settings.host}:{settings.port}"
    if settings.log_format == "json":
        logging.getLogger("serving").info("starts on %s", address)
    else:
        print(f"Kilowise API on {address} (pages: /docs, /readyz, /metrics)", flush=True)
    command = server_command(settings)
    # Replaces this process, so that a signal reaches BentoML's supervisor and its exit status is ours.
    os.execve(sys.executable, command, {**os.environ, **server_environment(settings)})  # noqa: S606  # no shell


def _run_keys(options: argparse.Namespace) -> int:
    try:
        say("\n".join(run_keys_command(options, ServingSettings().api_keys_path)))
    except (KilowiseError, ValidationError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run_log(options: argparse.Namespace) -> int:
    try:
        status, sentences = run_log_command(options, ServingSettings())
    except (KilowiseError, ValidationError) as error:
        print(error, file=sys.stderr)
        return 1
    say("\n".join(sentences))
    return status


if __name__ == "__main__":
    raise SystemExit(main())
