"""The usual way to serve a model, for `benchmarks/serving.py` to compare with: one row, one DataFrame, one call.

    python benchmarks/usual_service.py PIPELINE.joblib PORT WORKERS

The pipeline's features come ready from a dictionary by coin, so that its side computes none: it stands better than it would.
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
    """The contract's fields."""

    price: float
    change_1h: float | None = Field(None, alias="1h")
    change_24h: float | None = Field(None, alias="24h")
    change_7d: float | None = Field(None, alias="7d")
    volume: float = Field(alias="24h_volume")
    mkt_cap: float | None = None
    coin: str | None = None
    date: str | None = None


def application() -> FastAPI:
    """The app on what main() left in the environment, for each worker."""
    held = joblib.load(Path(os.environ["USUAL_PIPELINE"]))
    pipeline, stored, columns = held["pipeline"], held["stored"], held["columns"]
    app = FastAPI()

    @app.post("/predict")
    async def predict(body: Body) -> dict[str, object]:
        row = {**stored[body.coin], "price_log": math.log(body.price)}
        frame = pd.DataFrame([row], columns=columns)
        return {
            "liquidity_score": float(pipeline.predict(frame)[0]),
            "model": held["name"],
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
