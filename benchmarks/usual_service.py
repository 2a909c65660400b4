"""A conventional model server, which `benchmarks/serving.py` compares with: one row, one DataFrame, one call.

    python benchmarks/usual_service.py PIPELINE.joblib PORT WORKERS

Features are looked up in a dictionary by coin instead of being computed, which favours this server.
"""

import datetime as dt
import math
import os
import sys
from pathlib import Path

import joblib
import pandas as pd
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field


class Body(BaseModel):
    """Fields of a prediction request."""

    price: float
    change_1h: float | None = Field(None, alias="1h")
    change_24h: float | None = Field(None, alias="24h")
    change_7d: float | None = Field(None, alias="7d")
    volume: float = Field(alias="24h_volume")
    mkt_cap: float | None = None
    coin: str | None = None
    date: str | None = None


def application() -> FastAPI:
    """Create the application of one worker, with the pipeline that the environment names."""
    parts = joblib.load(Path(os.environ["USUAL_PIPELINE"]))
    pipeline, stored, columns = parts["pipeline"], parts["stored"], parts["columns"]
    app = FastAPI()

    @app.post("/predict")
    async def predict(body: Body) -> dict[str, object]:
        row = {**stored[body.coin], "price_log": math.log(body.price)}
        frame = pd.DataFrame([row], columns=columns)
        return {
            "liquidity_score": float(pipeline.predict(frame)[0]),
            "model": parts["name"],
            "model_version": "1",
            "timestamp": dt.datetime.now(dt.UTC).isoformat(),
        }

    return app


if __name__ == "__main__":
    os.environ["USUAL_PIPELINE"] = sys.argv[1]
    uvicorn.run(
        "usual_service:application",
        factory=True,
        port=int(sys.argv[2]),
        workers=int(sys.argv[3]),
        app_dir=str(Path(__file__).parent),
        access_log=False,
        log_level="warning",
    )
