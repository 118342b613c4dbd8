"""``python -m monitoring``: serves the model owners' site and the Evidently workspace on this machine only.

With a command it does that one thing instead: record who is at work on a finding, list what is recorded, or review a
part of the customers.
"""

import argparse
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType

from ml.errors import KilowiseError
from monitoring.acknowledgement_commands import add_commands as add_acknowledgement_commands
from monitoring.settings import MonitoringSettings
from monitoring.site import SITE_NAME, build_site
from monitoring.slice_commands import add_commands as add_slice_commands
from monitoring.workspace import WORKSPACE_NAME

LOOPBACK = "127.0.0.1"
_STOP_SECONDS = 10


class ReportsHandler(SimpleHTTPRequestHandler):
    """Serves pages below the reports folder: the site and Evidently's pages, nothing else and no listings."""

    def do_GET(self) -> None:
        """Answer a page, or lead to the first one."""
        if self.path in ("/", f"/{SITE_NAME}", f"/{SITE_NAME}/"):
            self.send_response(302)
            self.send_header("Location", f"/{SITE_NAME}/index.html")
            self.end_headers()
            return
        if Path(self.translate_path(self.path)).suffix not in (".html", ".css"):
            self.send_error(404)
            return
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        """Keep the terminal free of one line per page."""


def make_server(reports_dir: Path, port: int) -> ThreadingHTTPServer:
    """Return a server of the reports folder on the loopback interface.

    Args:
        reports_dir: Folder of reports.
        port: Port; 0 takes any free one.
    """
    return ThreadingHTTPServer((LOOPBACK, port), functools.partial(ReportsHandler, directory=str(reports_dir)))


def start_workspace(reports_dir: Path, port: int) -> "subprocess.Popen[bytes]":
    """Start the Evidently UI on the loopback interface, with its telemetry off."""
    workspace = reports_dir / WORKSPACE_NAME
    workspace.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(  # noqa: S603 (fixed program, own arguments)
        [
            str(Path(sys.executable).with_name("evidently")),
            "ui",
            "--workspace",
            str(workspace),
            "--host",
            LOOPBACK,
            "--port",
            str(port),
        ],
        env={**os.environ, "DO_NOT_TRACK": "1"},
        stdout=subprocess.DEVNULL,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked, by default serve until interrupted; return the exit code."""
    settings = MonitoringSettings()
    parser = argparse.ArgumentParser(prog="python -m monitoring", description=__doc__)
    parser.add_argument("--home", type=Path, default=settings.home, help="state folder")
    parser.add_argument("--port", type=int, default=settings.reports_port, help="port of the site")
    parser.add_argument("--workspace-port", type=int, default=settings.workspace_port, help="port of Evidently")
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands (default: serve the pages)")
    add_acknowledgement_commands(commands)
    add_slice_commands(commands)
    options = parser.parse_args(arguments)
    home = options.home.resolve()
    if options.command is None:
        return _serve(home, settings, options.port, options.workspace_port)
    try:
        for sentence in options.run(options, home):
            print(sentence)
    except KilowiseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _serve(home: Path, settings: MonitoringSettings, port: int, workspace_port: int) -> int:
    reports_dir = home / "reports"
    build_site(home, settings.service_targets)
    try:
        server = make_server(reports_dir, port)
    except OSError as error:
        print(f"Port {port} is not free ({error.strerror}); stop its user or pass --port.", file=sys.stderr)
        return 1
    workspace = start_workspace(reports_dir, workspace_port)
    signal.signal(signal.SIGTERM, _interrupt)
    print(f"Model owners' site    http://{LOOPBACK}:{server.server_port}/")
    print(f"Evidently workspace   http://{LOOPBACK}:{workspace_port}/   (takes a few seconds)")
    print("Stop both with Ctrl-C.", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("Stopped.")
    finally:
        server.server_close()
        workspace.terminate()
        try:
            workspace.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            workspace.kill()
            workspace.wait()
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Stop on SIGTERM as on Ctrl-C, so that the workspace is stopped too."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
