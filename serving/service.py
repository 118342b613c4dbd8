"""The BentoML service: ``bentoml serve serving.service:KilowiseService``; ``python -m serving`` prepares and runs it.

The routes live in a FastAPI application mounted on the service, which is a third faster than BentoML's native APIs
and free in its choice of error statuses. BentoML contributes the worker processes, ``/livez`` and ``/readyz``, and
the packaging (``bentoml build``).
"""

import gc
import sys

import bentoml
from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from starlette.exceptions import HTTPException

from serving.app import build_app
from serving.guard import ServerPagesGuard
from serving.http_protocol import ConnectionLimits, install
from serving.logs import configure_logging
from serving.runtime import Runtime
from serving.settings import ServingSettings

# BentoML puts OpenTelemetry's middleware around every service. Switched off, it still takes a fifth of a request's
# time; what runs from here on inherits that it need not. Spans of requests are made by serving.tracing.
_WITHOUT_SPANS = suppress_http_instrumentation()
_WITHOUT_SPANS.__enter__()

# Already here, because uvicorn looks its protocol up before the service is made; that sets the limits it was told.
install(ConnectionLimits())

app = build_app()


@bentoml.service(
    name="kilowise",
    # serving.guard and serving.metrics do what is needed of both: BentoML's metrics label by raw path, so any caller
    # can grow them without bound, and its access log writes whatever is in a URL.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    # A last resort that must exceed the largest batch. BentoML keeps the timer of every answered request this long;
    # _settle_garbage_collector sees to it that they cost little.
    traffic={"timeout": 60},
)
@bentoml.asgi_app(app, path="/")
class KilowiseService:
    """Serves the released models of Kilowise."""

    def __init__(self) -> None:
        settings = ServingSettings()
        configure_logging(settings.log_format)
        install(ConnectionLimits(settings.header_timeout_seconds, write_seconds=settings.write_timeout_seconds))
        self.runtime = Runtime(settings)
        app.state.runtime = self.runtime
        self.runtime.start()
        _settle_garbage_collector()
        # A background thread at work, such as the one that writes the log, keeps the event loop waiting for so long
        # each time; at Python's 5 ms the slowest hundredth of answers took 15 ms in a trial and 4 at 1 ms. Each of
        # the waits of a request is that long, and so is each of the thread's; docs/figures.md has what was measured.
        sys.setswitchinterval(0.0002)

    async def __is_ready__(self) -> bool:
        """Answer ``/readyz``; the sentence says what an operator must do."""
        problem = self.runtime.readiness_problem()
        if problem is not None:
            raise HTTPException(status_code=503, detail=problem)
        return True

    async def __is_alive__(self) -> bool:
        """Answer ``/livez``: no means that only a restart heals this process."""
        problem = self.runtime.liveness_problem()
        if problem is not None:
            raise HTTPException(status_code=503, detail=problem)
        return True

    @bentoml.on_shutdown
    def close(self) -> None:
        """Write what the prediction log still holds."""
        self.runtime.stop()


# The decorator has made a Service of the class, which mypy cannot see.
KilowiseService.add_asgi_middleware(ServerPagesGuard, api=app)  # type: ignore[attr-defined]


def _settle_garbage_collector() -> None:
    """Keep pauses out of the answers: what lives as long as the process is never walked, the rest seldom."""
    gc.collect()
    gc.freeze()
    # A request leaves no cycle behind, but a timer and a row of the log, and every collection walks all that came since
    # the one before. At 20,000 one came every two seconds under load, and each of them kept sixteen callers waiting.
    gc.set_threshold(100_000, 20, 200)
