"""The drift report as a page that needs nothing but itself, and as Markdown for Dagster."""

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
from cryptoliq_assets.monitoring import Finding, worst_finding_level
from cryptoliq_assets.monitoring.drift.measure import FeatureDrift, summarize_drift
from cryptoliq_assets.monitoring.drift.report import DriftReport

_BARS = 15
_SHARES = ("missing", "missing in training")
_SHOWN_DAYS = 90


def render_drift_page(report: DriftReport, settings: Settings) -> str:
    """The whole page, UTF-8 HTML."""
    parts = [
        "<h1>Drift and feed</h1>",
        f"<p>{escape(_what(report))}</p>",
        html_key_figures(_key_figures(report)),
        "<h2>What was looked at</h2>",
        _table(_findings_table(report.findings), long=("what", "what to do")),
    ]
    if report.drifts:
        parts += ["<h2>Drift</h2>", html_note(_how(report, settings)), *_drift_plots(report, settings)]
        parts += ["<h2>By feature</h2>", _table(make_drift_table(report.drifts))]
    if len(report.vitals):
        parts += ["<h2>Feed</h2>", *_feed_plots(report.vitals.tail(_SHOWN_DAYS), settings)]
    return html_page("Drift and feed", parts)


def render_drift_markdown(report: DriftReport, settings: Settings) -> str:
    """Findings, the features that drifted most, and their plot, as Dagster's UI shows them."""
    parts = [_what(report), markdown_table(_findings_table(report.findings)[["kind", "level", "what"]])]
    if report.drifts:
        parts.append(markdown_table(make_drift_table(report.drifts).head(_BARS)))
        parts.append(svg_as_markdown(_psi_plot(report.drifts, settings), name="PSI by feature"))
    return "\n\n".join(parts)


def make_drift_table(drifts: list[FeatureDrift]) -> pd.DataFrame:
    """One row a feature, largest PSI first."""
    return pd.DataFrame(
        {
            "feature": [drift.name for drift in drifts],
            "level": [drift.level if drift.judged else "told only" for drift in drifts],
            "PSI": [drift.psi for drift in drifts],
            "distance": [drift.distance for drift in drifts],
            "median shift": [drift.shift for drift in drifts],
            "missing": [drift.missing for drift in drifts],
            "missing in training": [drift.missing_before for drift in drifts],
        }
    )


def _what(report: DriftReport) -> str:
    if report.newest is None:
        return "There is no snapshot yet."
    told = f"Newest snapshot {report.newest}."
    if report.left_out:
        days = ", ".join(f"{day} ({', '.join(kinds)})" for day, kinds in report.left_out.items())
        told += f" Left out of drift, for the feed was at fault: {days}."
    if report.no_drift:
        return f"{told} Drift was not measured: {report.no_drift}."
    assert report.reference is not None, "drift is measured against a reference"
    return (
        f"{told} {len(report.days)} day(s) of {report.champion} against {report.reference.first_date} to "
        f"{report.reference.last_date} ({report.reference.rows:,} rows, {report.reference.coins:,} coins), "
        f"{report.reference_from}."
    )


def _how(report: DriftReport, settings: Settings) -> str:
    return (
        "PSI and distance are of values less their day's median: what the whole market does is no drift. PSI has ten bins of "
        f"equal weight; above {settings.drift.psi_warn:g} it warns, above {settings.drift.psi_fail:g} it fails, each with what "
        "chance alone gives so few coins. Distance is Wasserstein's over the interquartile range in training "
        f"({settings.drift.wasserstein_warn:g} and {settings.drift.wasserstein_fail:g}). The median shift is of the values as they "
        "are, in the same unit; it tells where the market stands and judges nothing. Sizes of changes are told, not judged."
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
    rows = [(found.kind, found.level, found.what, found.remedy if found.level != "ok" else "") for found in findings]
    return pd.DataFrame(rows, columns=["kind", "level", "what", "what to do"])


def _drift_plots(report: DriftReport, settings: Settings) -> list[str]:
    largest = sorted(report.drifts, key=lambda drift: -np.nan_to_num(drift.distance, nan=-1.0))[:_BARS]
    distances = {drift.name: drift.distance for drift in largest}
    plots = [
        "<h3>PSI</h3>",
        _psi_plot(report.drifts, settings),
        "<h3>Wasserstein distance</h3>",
        bar_plot(distances, title="Wasserstein distance over the spread", mark=settings.drift.wasserstein_warn),
    ]
    assert report.reference is not None
    points = report.reference.distributions[SCORE].points
    known = report.score[np.isfinite(report.score)]
    if len(points) and len(known):
        now = np.quantile(known, (np.arange(len(points)) + 0.5) / len(points))
        plots += [
            "<h3>Score, quantile by quantile</h3>",
            line_plot(
                points.tolist(),
                {"the last days": now.tolist()},
                title="Quantiles of the centred score",
                x_label="liquidity_score less its day's median, in training",
                y_label="the last days",
                points=True,
                diagonal=True,
            ),
        ]
    return plots


def _psi_plot(drifts: list[FeatureDrift], settings: Settings) -> str:
    bars = {drift.name: drift.psi for drift in drifts[:_BARS]}
    return bar_plot(bars, title="PSI by feature", mark=settings.drift.psi_warn)


def _feed_plots(vitals: pd.DataFrame, settings: Settings) -> list[str]:
    days = [str(day.date()) for day in vitals.index]

    def plot(title: str, y_label: str, lines: dict[str, str]) -> str:
        series = {name: vitals[column].tolist() for name, column in lines.items()}
        return f"<h3>{escape(title)}</h3>" + line_plot(days, series, title=title, y_label=y_label)

    moves = {"price": "price", "volume": "volume"}
    return [
        plot("Market: median log change a day", "log change", moves),
        plot("Market: median ln of daily volatility", "ln", {"volatility": "volatility"}),
        plot("Coins", "coins", {"coins": "coins"}),
        plot(
            "Shares of coins",
            "share",
            {
                "repeat the day before": "frozen",
                "no price": "prices_missing",
                "no volume": "volumes_missing",
                "no 24h": "changes_24h_missing",
                "no 7d": "changes_7d_missing",
                "no market cap": "caps_missing",
            },
        ),
        plot(
            "How changes told fit changes realised: 1 is to the digit",
            "fit",
            {"24h": "fit_24h", "24h, a day off": "fit_24h_column_behind", "7d": "fit_7d"},
        ),
    ]


def _table(frame: pd.DataFrame, *, long: tuple[str, ...] = ()) -> str:
    return html_table(frame, shown=_shown, long=long)


def _shown(column: object, value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.1%}" if column in _SHARES else f"{round(value, 3) + 0.0:.3f}"
    return str(value)
