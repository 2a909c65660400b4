"""Results of the pipeline as printed tables and lines: leaderboard, forecasts, accuracy, findings.

Add a result that more than one command prints. The values are computed in earlier layers.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from cryptoliq_assets.cli.terminal import console, print_line, print_table
from cryptoliq_assets.core import Location, Settings, file_exists, read_json_object
from cryptoliq_assets.forecasting import FLAGS, describe_row_quality, measure, read_realized_forecasts
from cryptoliq_assets.modeling.estimators import model_version_of, normalize_model_versions
from cryptoliq_assets.monitoring import FAIL, OK, Finding, collect_findings
from cryptoliq_assets.storage import TableStore

_MAX_FORECASTS = 12


def print_leaderboard(settings: Settings) -> None:
    """Print candidates and baselines with their skill per fold, on rows with a known market cap.

    Args:
        settings: Settings of the data directory.

    Raises:
        RuntimeError: If the report is damaged.
    """
    path = settings.reports_dir / "metrics.json"
    board = _read_report(path, "cryptoliq train")
    if board is not None:
        with _damage_errors(path, "cryptoliq train"):
            _print_board(board)


def _print_board(board: dict[str, Any]) -> None:
    folds = [f"fold {fold['fold']}" for fold in board["folds"]]
    rows = []
    entries = board["candidates"] + board["baselines"]
    for entry in sorted(entries, key=lambda entry: -(entry["skill"] or 0.0)):
        metrics = entry["metrics"]["with_history"]["known_cap"]
        rows.append(
            [
                entry["name"],
                entry["skill"],
                metrics["mean"]["skill"],
                *(fold["skill"] for fold in metrics["folds"]),
                metrics["mean"]["mae_vs_persistence"],
                metrics["mean"]["mae_vs_har"],
                entry["metrics"]["without_history"]["known_cap"]["mean"]["skill"],
            ]
        )
    title = f"Leaderboard ({board['evaluation']}); all columns but the first on rows with a known market cap"
    columns = ["model", "skill, all rows", "skill", *folds, "MAE/persist.", "MAE/HAR", "cold-start skill"]
    print_table(title, columns, rows)


def print_forecasts(settings: Settings) -> None:
    """Print the newest forecasts, the most liquid coins first.

    Args:
        settings: Settings of the data directory.

    Raises:
        RuntimeError: If the report is damaged.
    """
    path = settings.reports_dir / "forecasts.json"
    report = _read_report(path, "cryptoliq forecast")
    if report is not None:
        with _damage_errors(path, "cryptoliq forecast"):
            _print_newest_forecasts(settings, report)


def _print_newest_forecasts(settings: Settings, report: dict[str, Any]) -> None:
    stored = TableStore(settings).read("forecasts", [report["date"][:7]])
    by_model = normalize_model_versions(stored["model_version"]) == model_version_of(report)
    newest = stored[(stored["date"] == report["date"]) & by_model]
    newest = newest.sort_values("made_at").drop_duplicates("coin", keep="last")
    top = newest.sort_values("liquidity_score", ascending=False).head(_MAX_FORECASTS)
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
        f"{len(newest)} forecasts for {report['target_date']} by {report['model_version']}, the {len(top)} most liquid"
    )
    print_table(title, ["coin", "liquidity_score", "lower", "upper", "note"], rows)
    flagged = {name: int(newest[name].sum()) for name in FLAGS}
    if any(flagged.values()):
        console.print(
            f"{flagged['filled']} forecast(s) from rows with a filled price or volume, {flagged['outlier']} of them with a "
            "replaced outlier"
        )
    if report["stale"]:
        console.print(f"{len(report['stale'])} stale coin(s) are missing from that snapshot and have no forecast")


def print_accuracy(settings: Settings) -> None:
    """Print the forecast accuracy of all stored forecasts with an actual value.

    Args:
        settings: Settings of the data directory.
    """
    accuracy = measure(read_realized_forecasts(TableStore(settings)))
    if accuracy is None:
        console.print("no stored forecast has an actual value yet")
        return
    console.print(
        f"forecast accuracy of {accuracy.forecasts:,} stored forecasts over {accuracy.days} days: skill vs. persistence "
        f"{accuracy.skill:.3f}, mean absolute error {accuracy.mae:.4f} vs. {accuracy.mae_persistence:.4f}, "
        f"{accuracy.coverage:.1%} within their {settings.intervals.coverage:.0%} interval"
    )


def print_findings(settings: Settings, *, also: Iterable[Finding] = ()) -> list[Finding]:
    """Evaluate all checks of the monitor, and print warnings and failures, one per line.

    Args:
        settings: Settings of the data directory.
        also: Findings of the caller; they replace those of the monitor with the same key.

    Returns:
        The warnings and failures.
    """
    by_caller = {finding.key: finding for finding in also}
    findings = [
        *by_caller.values(),
        *(finding for finding in collect_findings(settings, dt.datetime.now(dt.UTC)) if finding.key not in by_caller),
    ]
    problems = sorted((finding for finding in findings if finding.level != OK), key=lambda finding: finding.level)
    for finding in problems:
        print_finding(finding)
    if not problems:
        console.print(f"{len(findings)} checks passed")
    return problems


def print_finding(finding: Finding) -> None:
    """Print level, message, start, remedy and incident ID of a finding."""
    since = f" (since {finding.since})" if finding.since else ""
    style = "red" if finding.level == FAIL else "yellow"
    print_line(
        (finding.level.upper(), style),
        f" {finding.title}: {finding.where}: {finding.what}{since}; {finding.remedy} [ID {finding.id}]",
    )


@contextmanager
def _damage_errors(path: Location, command: str) -> Iterator[None]:
    """Raise RuntimeError with the path if the report does not have the expected structure."""
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise RuntimeError(f"{path} is damaged ({error!r}); `{command}` rewrites it") from error


def _read_report(path: Location, command: str) -> dict[str, Any] | None:
    """Return a JSON report, None if it does not exist; RuntimeError names the path and the command that rewrites it."""
    if not file_exists(path):
        return None
    try:
        return read_json_object(path)
    except OSError as error:
        raise RuntimeError(f"{path} cannot be read ({error}); `{command}` rewrites it") from error
