"""The peer of the HTTP figures: bare FastAPI on uvicorn with the same model and the same validation, and nothing else.

No API key, no log, no policy, no metrics, no snapshot, no limits: what a first prototype would be. It gets what makes
FastAPI fast (uvloop, httptools, no access log, an answer written by orjson without a response model) and the body is
the request model of the API as a parameter of the route, as FastAPI's own tutorial has it.
"""

import argparse
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from fastapi import FastAPI
from fastapi.responses import Response

from serving.model_store import ModelStore
from serving.released_model import ReleasedModel, ScoringInput
from serving.schemas import CreditRiskRequest

PATH = "/score"


def build_peer(model: ReleasedModel) -> FastAPI:
    """Return the application."""
    app = FastAPI()

    @app.post(PATH)
    async def score(body: CreditRiskRequest) -> Response:  # type: ignore[valid-type]  # a model made at run time
        features: dict[str, Any] = body.features.model_dump()  # type: ignore[attr-defined]  # of the same model
        (result,) = model.predict([ScoringInput(features)])
        answer = {"prediction": result.prediction, **result.details}
        return Response(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

    return app


def main() -> None:
    """Serve the released credit model of a state folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    store = ModelStore(arguments.home)
    manifest = store.current_release("credit_risk")
    if manifest is None:
        parser.error(f"{arguments.home} has no released credit model; run `make run` first")
    app = build_peer(store.load(manifest))
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
