"""The BentoML service: ``bentoml serve serving.service:KilowiseService``; ``python -m serving`` prepares and runs it.

The routes live in a FastAPI application mounted on the service, which is a third faster than BentoML's native APIs
and free in its choice of error statuses. BentoML contributes the worker processes, ``/livez`` and ``/readyz``, and
the packaging (``bentoml build``).
"""

import bentoml
from starlette.exceptions import HTTPException

from serving.app import build_app
from serving.runtime import Runtime
from serving.settings import ServingSettings

app = build_app()


@bentoml.service(
    name="kilowise",
    # Each of these costs a hot path of 100 microseconds more than the model: BentoML's metrics label by raw path,
    # its time-out leaves a timer behind every request, its access log writes ids of whatever is in a URL.
    # serving.guard and serving.metrics do what is needed of them.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    traffic={"timeout": None, "max_concurrency": None},
)
@bentoml.asgi_app(app, path="/")
class KilowiseService:
    """Serves the released models of Kilowise."""

    def __init__(self) -> None:
        self.runtime = Runtime(ServingSettings())
        app.state.runtime = self.runtime
        self.runtime.start()

    async def __is_ready__(self) -> bool:
        """Answer ``/readyz``; the sentence says what an operator must do."""
        problem = self.runtime.readiness_problem()
        if problem is not None:
            raise HTTPException(status_code=503, detail=problem)
        return True

    @bentoml.on_shutdown
    def close(self) -> None:
        """Write what the prediction log still holds."""
        self.runtime.stop()
