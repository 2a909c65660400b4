"""What the pipeline has made, as tables: leaderboard, forecasts, accuracy."""

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptoliq_assets.cli.terminal import console, print_line, table
from cryptoliq_assets.core import Settings, read_json_object
from cryptoliq_assets.forecasting import FLAGS, Accuracy, describe_row_quality, measure, read_realized_forecasts
from cryptoliq_assets.modeling.estimators import model_version_of, normalize_model_versions
from cryptoliq_assets.monitoring import FAIL, OK, Finding, collect_findings
from cryptoliq_assets.storage import TableStore

_SHOWN = 12


def show_leaderboard(settings: Settings) -> None:
    """Candidates and baselines, skill fold by fold, on rows with a known market cap."""
    path = settings.reports_dir / "metrics.json"
    board = _read(path, "cryptoliq train")
    if board is not None:
        with _expecting(path, "cryptoliq train"):
            _show_board(board)


def _show_board(board: dict[str, Any]) -> None:
    folds = [f"fold {fold['fold']}" for fold in board["folds"]]
    rows = []
    entries = board["candidates"] + board["baselines"]
    for entry in sorted(entries, key=lambda entry: -(entry["skill"] or 0.0)):
        known = entry["metrics"]["with_history"]["known_cap"]
        rows.append(
            [
                entry["name"],
                entry["skill"],
                known["mean"]["skill"],
                *(fold["skill"] for fold in known["folds"]),
                known["mean"]["mae_vs_persistence"],
                known["mean"]["mae_vs_har"],
                entry["metrics"]["without_history"]["known_cap"]["mean"]["skill"],
            ]
        )
    title = f"Leaderboard ({board['evaluation']}); all but the first column on rows with a known market cap"
    columns = ["model", "skill, all rows", "skill", *folds, "MAE/persist.", "MAE/HAR", "no history"]
    table(title, columns, rows)


def show_forecasts(settings: Settings) -> None:
    """The newest forecasts, the most liquid coins first."""
    path = settings.reports_dir / "forecasts.json"
    report = _read(path, "cryptoliq forecast")
    if report is not None:
        with _expecting(path, "cryptoliq forecast"):
            _show_newest(settings, report)


def _show_newest(settings: Settings, report: dict[str, Any]) -> None:
    stored = TableStore(settings).read("forecasts", [report["date"][:7]])
    by_model = normalize_model_versions(stored["model_version"]) == model_version_of(report)
    newest = stored[(stored["date"] == report["date"]) & by_model]
    newest = newest.sort_values("made_at").drop_duplicates("coin", keep="last")
    top = newest.sort_values("liquidity_score", ascending=False).head(_SHOWN)
    rows = [
        [
            row.coin,
            row.liquidity_score,
            row.lower,
            row.upper,
            describe_row_quality(filled=row.filled, outlier=row.outlier),
        ]
        for row in top.itertuples()
    ]
    title = (
        f"{len(newest)} forecasts for {report['target_date']} by {report['model_version']}, the most liquid {len(top)}"
    )
    table(title, ["coin", "liquidity_score", "lower", "upper", "note"], rows)
    marked = {name: int(newest[name].sum()) for name in FLAGS}
    if any(marked.values()):
        console.print(
            f"{marked['filled']} forecast(s) of rows whose price or volume was filled, {marked['outlier']} of them in place of "
            "an outlier"
        )
    if report["stale"]:
        console.print(f"{len(report['stale'])} coin(s) absent that day are stale and not forecast")


def realised_accuracy(settings: Settings) -> Accuracy | None:
    """Accuracy of all stored forecasts that have come true."""
    return measure(read_realized_forecasts(TableStore(settings)))


def show_accuracy(settings: Settings) -> None:
    """How the stored forecasts came true."""
    accuracy = realised_accuracy(settings)
    if accuracy is None:
        console.print("no stored forecast has come true yet")
        return
    console.print(
        f"{accuracy.forecasts:,} stored forecasts have come true over {accuracy.days} days: skill against persistence "
        f"{accuracy.skill:.3f}, mean absolute error {accuracy.mae:.4f} against {accuracy.mae_persistence:.4f}, "
        f"{accuracy.coverage:.1%} inside their {settings.intervals.coverage:.0%} interval"
    )


def print_findings(settings: Settings, *, also: Iterable[Finding] = ()) -> list[Finding]:
    """What the monitor finds that is not well, a line each, and what the caller found besides; returns it."""
    known = {finding.key: finding for finding in also}
    found = [
        *known.values(),
        *(each for each in collect_findings(settings, dt.datetime.now(dt.UTC)) if each.key not in known),
    ]
    bad = sorted((finding for finding in found if finding.level != OK), key=lambda finding: finding.level)
    for finding in bad:
        print_finding(finding)
    if not bad:
        console.print(f"the monitor looked at {len(found)} things: all is well")
    return bad


def print_finding(finding: Finding) -> None:
    """Level, what, since when, what to do, and the ID of its incident."""
    since = f" (since {finding.since})" if finding.since else ""
    style = "red" if finding.level == FAIL else "yellow"
    print_line(
        (finding.level.upper(), style),
        f" {finding.title}: {finding.where}: {finding.what}{since}; {finding.remedy} [ID {finding.id}]",
    )


@contextmanager
def _expecting(path: Path, made_by: str) -> Iterator[None]:
    """RuntimeError that names the report where its values are not of the expected shape."""
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise RuntimeError(f"{path} is damaged ({error!r}); `{made_by}` writes it anew") from error


def _read(path: Path, made_by: str) -> dict[str, Any] | None:
    """A report as JSON, None where there is none; RuntimeError names a file that cannot be read, and what makes it."""
    if not path.exists():
        return None
    try:
        return read_json_object(path)
    except OSError as error:
        raise RuntimeError(f"{path} cannot be read ({error}); `{made_by}` writes it anew") from error
