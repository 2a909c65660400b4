"""Throughput and latency of the service with each kind of champion, compared with a conventional model server.

    python benchmarks/serving.py HOME [--seconds 8] [--repeat 2] [--rows 120000] [--only xgboost]

HOME is a home with a champion; it is not changed: models are fitted on `--rows` of its rows and promoted in a copy. The conventional
server (`usual_service.py`) builds a one-row DataFrame for a scikit-learn pipeline with as many trees. wrk on the same machine
generates the load: 64 connections, one coin after the other, each request with its history. The exit code is 1 if a target is missed.
"""

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from running_service import copy_home, free_port, run_server, serve_command
from side_by_side import describe_machine, print_table

from cryptoliq_assets.modeling import load_champion, training_rows
from cryptoliq_assets.modeling.estimators import CANDIDATES, OWN_FEATURES, available_threads, fit_spec
from cryptoliq_assets.modeling.registry import ModelStore
from cryptoliq_assets.serving import Predictor
from cryptoliq_assets.serving.csv import predict_content
from cryptoliq_assets.storage import TableStore

CONNECTIONS = 64
FLOOR = 800.0
TIMES = {"linear_regression": 3.0, "random_forest": 10.0, "xgboost": 3.0}
P99_MS = 20.0
BATCH_ROWS = 200_000
BATCH_FLOOR = 200_000.0
_FIELDS = ["price", "1h", "24h", "7d", "24h_volume", "mkt_cap"]
_SCRIPT = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local prepared = {}
local headers = { ["Content-Type"] = "application/json" }
local next_one = 0
function init(args)
  for place, body in ipairs(bodies) do prepared[place] = wrk.format("POST", "/predict", headers, body) end
end
function request()
  next_one = next_one %% #prepared + 1
  return prepared[next_one]
end
function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('{"rate": %%f, "p50": %%f, "p99": %%f, "failed": %%d}\\n',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000, failed))
end
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--seconds", type=int, default=8, help="Duration of each load run.")
    parser.add_argument("--repeat", type=int, default=2, help="Number of runs, of which the best counts.")
    parser.add_argument("--rows", type=int, default=120_000, help="Rows to fit each model on.")
    parser.add_argument("--only", choices=list(CANDIDATES), action="append", help="Only these kinds of models.")
    args = parser.parse_args()
    print(f"{describe_machine()}, load average {os.getloadavg()[0]:.2f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="cryptoliq-serving-") as folder:
        bench = Bench(args.home, Path(folder), rows=args.rows, seconds=args.seconds, repeat=args.repeat)
        lines, batches, missed = [], [], []
        for kind in args.only or CANDIDATES:
            bench.promote(kind)
            for workers in (1, 2):
                usual, own = bench.usual(kind, workers), bench.service(workers)
                times = own["rate"] / usual["rate"]
                lines.append(
                    [kind, workers, *(own[name] for name in ("rate", "p50", "p99")), usual["rate"], usual["p99"], times]
                )
                missed += [f"{kind}, {workers} worker(s): {target}" for target in missed_targets(kind, own, times)]
            batches.append(
                [kind, len(bench.requests), bench.batch(), bench.batch_over_http(), bench.bodies_in_process()]
            )
            if kind == "xgboost" and batches[-1][2] < BATCH_FLOOR:
                missed.append(f"{kind}: {batches[-1][2]:,.0f} rows per second in a batch, target {BATCH_FLOOR:,.0f}")
    columns = ["champion", "workers", "requests/s", "p50 ms", "p99 ms", "conventional/s", "its p99 ms", "ratio"]
    print_table(f"single predictions with history, {CONNECTIONS} connections", columns, lines)
    print_table(
        "batch, rows per second",
        ["champion", "rows", "CSV in process", "CSV over HTTP", "requests in process"],
        batches,
    )
    print("\n" + ("\n".join(f"missed: {target}" for target in missed) or "all targets are met"))
    sys.exit(1 if missed else 0)


def missed_targets(kind: str, own: dict[str, float], times: float) -> list[str]:
    """Return the targets that a load run misses."""
    missed = []
    if own["rate"] < FLOOR:
        missed.append(f"{own['rate']:.0f} requests per second, target {FLOOR:.0f}")
    if times < TIMES[kind]:
        missed.append(f"{times:.1f} times the conventional server, target {TIMES[kind]:.0f}")
    if own["p99"] >= P99_MS:
        missed.append(f"p99 {own['p99']:.1f} ms, target below {P99_MS:.0f}")
    if own["failed"]:
        missed.append(f"{own['failed']} requests failed")
    return missed


class Bench:
    """A copy of a home, models fitted into it, and load on the servers of these models."""

    def __init__(self, home: Path, folder: Path, *, rows: int, seconds: int, repeat: int) -> None:
        self.folder, self.seconds, self.repeat = folder, seconds, repeat
        self.settings = copy_home(home.resolve(), folder / "home")
        store = TableStore(self.settings)
        self.rows, _ = training_rows(self.settings, store)
        chance = np.random.default_rng(7)
        self.train = np.sort(chance.choice(len(self.rows), size=min(rows, len(self.rows)), replace=False))
        months = store.months("cleaned_snapshots")
        cleaned = store.read("cleaned_snapshots", months[-4:], columns=["coin", "symbol", "date", *_FIELDS])
        cleaned = cleaned.astype({"coin": str, "symbol": str})
        self.newest = cleaned["date"].max()
        self.today = cleaned[cleaned["date"] == self.newest].reset_index(drop=True)
        self.requests = cleaned.sort_values("date", ascending=False, kind="stable").head(BATCH_ROWS)
        stored = store.read("engineered_features", months[-1:])
        stored = stored[stored["date"] == self.newest].astype({"coin": str}).set_index("coin")[list(OWN_FEATURES)]
        self.features = {coin: row.to_dict() for coin, row in stored.iterrows()}
        self.bodies = [
            json.dumps(
                {**{name: value for name, value in row.items() if value == value}, "date": str(self.newest.date())}
            )
            for row in self.today[["coin", *_FIELDS]].to_dict("records")
        ]
        (folder / "bodies.jsonl").write_text("\n".join(self.bodies[:2000]), encoding="utf-8")
        (folder / "load.lua").write_text(_SCRIPT % (folder / "bodies.jsonl"), encoding="utf-8")

    def promote(self, kind: str) -> None:
        """Promote a model of this kind in the copy, with the metadata of the previous champion."""
        store = ModelStore(self.settings.models_dir)
        learner = fit_spec(CANDIDATES[kind], self.rows, train=self.train, seed=7)
        metadata = {**store.current(), "features": list(CANDIDATES[kind].features)}
        promoted = store.promote(learner, metadata, reason="benchmark", at=dt.datetime.now(dt.UTC))
        print(f"{promoted['version']}: fitted on {len(self.train):,} rows", flush=True)

    def usual(self, kind: str, workers: int) -> dict[str, float]:
        """Measure the conventional server."""
        path = self.folder / f"{kind}.joblib"
        if not path.exists():
            X = pd.DataFrame(self.rows.read(self.train, OWN_FEATURES), columns=list(OWN_FEATURES))
            pipeline = usual_pipeline(kind).fit(X, self.rows.y[self.train])
            parts = {"pipeline": pipeline, "stored": self.features, "columns": list(OWN_FEATURES), "name": kind}
            joblib.dump(parts, path)
        port = free_port()
        script = str(Path(__file__).with_name("usual_service.py"))
        with run_server([sys.executable, script, str(path), str(port), str(workers)], {}, port=port, path="/docs"):
            return self._load(port)

    def service(self, workers: int) -> dict[str, float]:
        """Measure `cryptoliq serve`."""
        port = free_port()
        with run_server(serve_command(port, workers), self._environment(), port=port, path="/readyz"):
            return self._load(port)

    def batch(self) -> float:
        """Rows per second of a CSV in process: parsed, predicted and formatted."""
        predictor = Predictor(self.settings)
        predictor.refresh()
        snapshot, content = predictor.snapshot, self._csv()
        champion = load_champion(self.settings)

        def run_once() -> int:
            summary, chunks = predict_content(
                content,
                champion=champion,
                settings=self.settings,
                today=dt.datetime.now(dt.UTC).date(),
                history=snapshot.history_from,
            )
            size = sum(map(len, chunks))
            assert (summary.rows, summary.rejected) == (len(self.requests), {}), summary
            return size

        return _best_rate(run_once, len(self.requests), self.repeat)

    def batch_over_http(self) -> float:
        """Rows per second of the same CSV, sent to the service."""
        port, content = free_port(), self._csv()

        def run_once() -> None:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/predict/batch", data=content, headers={"Content-Type": "text/csv"}
            )
            with urllib.request.urlopen(request) as answer:
                assert len(answer.read().splitlines()) == len(self.requests) + 1

        with run_server(serve_command(port, 1), self._environment(), port=port, path="/readyz"):
            return _best_rate(run_once, len(self.requests), self.repeat)

    def bodies_in_process(self) -> float:
        """Rows per second of parsed requests, predicted in one batch as POST /predict/batch does."""
        from cryptoliq_assets.serving import PredictRequest

        predictor = Predictor(self.settings)
        predictor.refresh()
        requests = [PredictRequest.model_validate_json(body) for body in self.bodies]
        return _best_rate(lambda: predictor.predict(requests), len(requests), self.repeat)

    def _csv(self) -> bytes:
        rows = self.requests.assign(date=self.requests["date"].dt.strftime("%Y-%m-%d"))
        return rows[["coin", "symbol", *_FIELDS, "date"]].to_csv(index=False).encode()

    def _environment(self) -> dict[str, str]:
        return {"CRYPTOLIQ_HOME": str(self.settings.home_dir), "CRYPTOLIQ_API__MAX_BODY_MIB": "200"}

    def _load(self, port: int) -> dict[str, float]:
        """Return the best of several runs after a warm-up of one second, with the failed requests of all."""
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", "--latency", "-s", str(self.folder / "load.lua")]
        url = f"http://127.0.0.1:{port}"
        subprocess.run([*command, "-d1s", url], capture_output=True, check=True)
        runs: list[dict[str, Any]] = []
        for _ in range(self.repeat):
            run = subprocess.run([*command, f"-d{self.seconds}s", url], capture_output=True, text=True, check=True)
            runs.append(json.loads(run.stdout.splitlines()[-1]))
        return {**max(runs, key=lambda run: run["rate"]), "failed": sum(run["failed"] for run in runs)}


def usual_pipeline(kind: str) -> Any:
    """Return the straightforward scikit-learn pipeline, with the same tree parameters."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from xgboost import XGBRegressor

    params = dict(CANDIDATES[kind].params)
    params.pop("bare", None)
    if kind == "linear_regression":
        return make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), LinearRegression())
    if kind == "random_forest":
        return make_pipeline(SimpleImputer(keep_empty_features=True), RandomForestRegressor(**params, random_state=7))
    renamed = {
        "n_estimators": params.pop("rounds"),
        "learning_rate": params.pop("eta"),
        "reg_lambda": params.pop("lambda"),
    }
    return XGBRegressor(**params, **renamed, n_jobs=available_threads(), random_state=7)


def _best_rate(work: Any, rows: int, repeat: int) -> float:
    best = float("inf")
    for _ in range(repeat + 1):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return rows / best


if __name__ == "__main__":
    main()
