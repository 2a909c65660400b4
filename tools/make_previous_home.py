"""Make the small home of an earlier version that the compatibility test reads (cryptoliq_assets_tests/support/data).

Run it once per stored format, with the earlier version on the path; it imports that version's modules:

    git worktree add --detach /tmp/previous 9f75d7d
    PYTHONPATH=/tmp/previous python tools/make_previous_home.py cryptoliq_assets_tests/support/data/home_9f75d7d.tar.gz
    git worktree remove /tmp/previous

The archive has a home with the tables of 6 coins over 24 days and one provisional champion of each kind, and next to it
`forecasts.json`: what each of them predicted for the newest snapshot.
"""

import datetime as dt
import json
import sys
import tarfile
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

COINS, DAYS, END = 6, 24, dt.date(2025, 3, 24)
# What a home needs to forecast; reports, logs, raw files and Dagster's database are left out.
ARCHIVED = ("models", "data/processed", "data/cleaned")


def main(archive: Path) -> None:
    """Write the archive."""
    old = {name: import_module(f"cryptoliq_assets.{name}") for name in ("settings", "simulate", "runner", "io.tables")}
    models: dict[str, Any] = {
        name: import_module(f"cryptoliq_assets.models.{name}")
        for name in ("training", "store", "card", "champion", "recipes", "names")
    }
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        settings = old["settings"].Settings(home=home, folds=2)
        import_module("cryptoliq_assets.home").prepare_home(settings)
        market = old["simulate"].simulate_market(coins=COINS, days=DAYS, end=END, seed=settings.seed)
        old["simulate"].write_snapshots(market, settings.raw_dir)
        runner = old["runner"].Runner(settings)
        runner.look()
        runner.refresh(runner.plan().ranges)
        tables, store = old["io.tables"].TableStore(settings), models["store"].store_of(settings)
        training = models["training"]
        silent = lambda message: None  # noqa: E731
        candidates = [
            training.fit_candidate(name, settings, store=tables, progress=silent)
            for name in models["recipes"].CANDIDATES
        ]
        board = training.rank_candidates(candidates, settings, store=tables, progress=silent)
        rows, _ = training.training_rows(settings, tables)
        features = tables.read("engineered_features")
        newest = features[features["date"] == features["date"].max()].reset_index(drop=True)
        forecasts = {}
        for number, candidate in enumerate(candidates):
            at = dt.datetime(2025, 3, 25, number, tzinfo=dt.UTC)
            metadata = models["card"].model_metadata(
                candidate.recipe, rows, board, evaluation=candidate.evaluation, level=0.9, at=at
            )
            stored = store.promote(candidate.learner, metadata, reason="provisional", at=at)
            champion = models["champion"].load_champion(settings)
            predicted = champion.predict(newest)
            forecasts[stored["version"]] = {
                "model_name": stored["model_name"],
                "model_version": stored["model_version"],
                "coins": newest["coin"].astype(str).tolist(),
                "date": str(newest["date"].iloc[0].date()),
                **{name: predicted[name].tolist() for name in ("predicted", "lower", "upper")},
            }
        (home / "forecasts.json").write_text(json.dumps(forecasts, indent=1))
        with tarfile.open(archive, "w:gz", compresslevel=9) as packed:
            for name in (*ARCHIVED, "forecasts.json"):
                if (home / name).exists():
                    packed.add(home / name, arcname=f"home/{name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
