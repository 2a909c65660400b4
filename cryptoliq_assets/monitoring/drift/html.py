"""The drift report as a self-contained HTML page, and as Markdown for Dagster.

Add what the report shows. What it measures belongs in `measure` and `report`.
"""

import math
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from cryptoliq_assets.core import (
    Settings,
    bar_plot,
    html_key_figures,
    html_note,
    html_page,
    html_table,
    line_plot,
    markdown_table,
    svg_as_markdown,
)
from cryptoliq_assets.modeling import SCORE
from cryptoliq_assets.monitoring.drift.measure import FeatureDrift, summarize_drift
from cryptoliq_assets.monitoring.drift.report import DriftReport
from cryptoliq_assets.monitoring.findings import Finding, worst_finding_level

_BARS = 15
_FRACTIONS = ("missing", "missing in training")
_SHOWN_DAYS = 90


def render_drift_page(report: DriftReport, settings: Settings) -> str:
    """Return the complete HTML page."""
    parts = [
        "<h1>Drift and feed</h1>",
        f"<p>{escape(_summarize(report))}</p>",
        html_key_figures(_key_figures(report)),
        "<h2>Findings</h2>",
        _table(_findings_table(report.findings), long=("message", "what to do")),
    ]
    if report.drifts:
        parts += ["<h2>Drift</h2>", html_note(_explain(report, settings)), *_drift_plots(report, settings)]
        parts += ["<h2>By feature</h2>", _table(make_drift_table(report.drifts))]
    if len(report.metrics):
        parts += ["<h2>Feed</h2>", *_feed_plots(report.metrics.tail(_SHOWN_DAYS), settings)]
    return html_page("Drift and feed", parts)


def render_drift_markdown(report: DriftReport, settings: Settings) -> str:
    """Return findings, the features with the largest drift, and their plot, for the UI of Dagster."""
    parts = [_summarize(report), markdown_table(_findings_table(report.findings)[["kind", "level", "message"]])]
    if report.drifts:
        parts.append(markdown_table(make_drift_table(report.drifts).head(_BARS)))
        parts.append(svg_as_markdown(_psi_plot(report.drifts, settings), name="PSI by feature"))
    return "\n\n".join(parts)


def make_drift_table(drifts: list[FeatureDrift]) -> pd.DataFrame:
    """Return one row per feature, in the order of the drifts."""
    return pd.DataFrame(
        {
            "feature": [drift.name for drift in drifts],
            "level": [drift.level if drift.judged else "no level" for drift in drifts],
            "PSI": [drift.psi for drift in drifts],
            "distance": [drift.distance for drift in drifts],
            "median shift": [drift.shift for drift in drifts],
            "missing": [drift.missing for drift in drifts],
            "missing in training": [drift.missing_before for drift in drifts],
        }
    )


def _summarize(report: DriftReport) -> str:
    if report.newest is None:
        return "There is no snapshot yet."
    text = f"Newest snapshot {report.newest}."
    if report.left_out:
        days = ", ".join(f"{day} ({', '.join(kinds)})" for day, kinds in report.left_out.items())
        text += f" Excluded from drift because of feed faults: {days}."
    if report.no_drift:
        return f"{text} Drift was not measured: {report.no_drift}."
    assert report.reference is not None, "drift is measured against a reference"
    return (
        f"{text} {len(report.days)} day(s) of {report.champion} compared with {report.reference.first_date} to "
        f"{report.reference.last_date} ({report.reference.rows:,} rows, {report.reference.coins:,} coins), "
        f"{report.reference_from}."
    )


def _explain(report: DriftReport, settings: Settings) -> str:
    return (
        "PSI and distance use values minus the median of their day, so a move of the complete market is not drift. PSI has ten bins of "
        f"equal weight; WARN above {settings.drift.psi_warn:g}, FAIL above {settings.drift.psi_fail:g}, each plus what "
        "chance alone causes for the number of coins. Distance is the Wasserstein distance in interquartile ranges of training "
        f"({settings.drift.wasserstein_warn:g} and {settings.drift.wasserstein_fail:g}). The median shift uses the raw "
        "values, in the same unit; it shows the state of the market and has no level. Sizes of changes have no level either."
    )


def _key_figures(report: DriftReport) -> list[tuple[str, str]]:
    total = summarize_drift(report.drifts)
    return [
        ("worst level", worst_finding_level(report.findings)),
        ("newest snapshot", str(report.newest or "none")),
        ("largest PSI", _shown("", total["largest_psi"])),
        ("median PSI", _shown("", total["median_psi"])),
        ("largest distance", _shown("", total["largest_distance"])),
    ]


def _findings_table(findings: list[Finding]) -> pd.DataFrame:
    rows = [
        (finding.kind, finding.level, finding.what, finding.remedy if finding.level != "ok" else "")
        for finding in findings
    ]
    return pd.DataFrame(rows, columns=["kind", "level", "message", "what to do"])


def _drift_plots(report: DriftReport, settings: Settings) -> list[str]:
    largest = sorted(report.drifts, key=lambda drift: -np.nan_to_num(drift.distance, nan=-1.0))[:_BARS]
    distances = {drift.name: drift.distance for drift in largest}
    plots = [
        "<h3>PSI</h3>",
        _psi_plot(report.drifts, settings),
        "<h3>Wasserstein distance</h3>",
        bar_plot(distances, title="Wasserstein distance in interquartile ranges", mark=settings.drift.wasserstein_warn),
    ]
    assert report.reference is not None
    points = report.reference.distributions[SCORE].points
    known = report.score[np.isfinite(report.score)]
    if len(points) and len(known):
        now = np.quantile(known, (np.arange(len(points)) + 0.5) / len(points))
        plots += [
            "<h3>Score quantiles</h3>",
            line_plot(
                points.tolist(),
                {"the last days": now.tolist()},
                title="Quantiles of the score minus its daily median",
                x_label="liquidity_score minus its daily median, in training",
                y_label="the last days",
                points=True,
                diagonal=True,
            ),
        ]
    return plots


def _psi_plot(drifts: list[FeatureDrift], settings: Settings) -> str:
    bars = {drift.name: drift.psi for drift in drifts[:_BARS]}
    return bar_plot(bars, title="PSI by feature", mark=settings.drift.psi_warn)


def _feed_plots(metrics: pd.DataFrame, settings: Settings) -> list[str]:
    days = [str(day.date()) for day in metrics.index]

    def plot(title: str, y_label: str, lines: dict[str, str]) -> str:
        series = {name: metrics[column].tolist() for name, column in lines.items()}
        return f"<h3>{escape(title)}</h3>" + line_plot(days, series, title=title, y_label=y_label)

    moves = {"price": "price", "volume": "volume"}
    return [
        plot("Market: median daily log change", "log change", moves),
        plot("Market: median ln of daily volatility", "ln", {"volatility": "volatility"}),
        plot("Coins", "coins", {"coins": "coins"}),
        plot(
            "Fractions of coins",
            "fraction",
            {
                "repeat the previous day": "frozen",
                "no price": "prices_missing",
                "no volume": "volumes_missing",
                "no 24h": "changes_24h_missing",
                "no 7d": "changes_7d_missing",
                "no market cap": "caps_missing",
            },
        ),
        plot(
            "Fit of reported and realized changes (1 is a perfect fit)",
            "fit",
            {"24h": "fit_24h", "24h, shifted by a day": "fit_24h_column_behind", "7d": "fit_7d"},
        ),
    ]


def _table(frame: pd.DataFrame, *, long: tuple[str, ...] = ()) -> str:
    return html_table(frame, shown=_shown, long=long)


def _shown(column: object, value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.1%}" if column in _FRACTIONS else f"{round(value, 3) + 0.0:.3f}"
    return str(value)
