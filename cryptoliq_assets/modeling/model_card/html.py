"""The model card as a self-contained HTML page (no scripts, no external files), and as Markdown for Dagster.

How facts are shown belongs here; which facts there are in `modeling.model_card.facts`.
"""

import math
from collections.abc import Mapping
from functools import partial
from html import escape
from typing import Any

import pandas as pd

from cryptoliq_assets.core import bar_plot, html_key_figures, html_note, html_page, html_table, line_plot
from cryptoliq_assets.modeling.estimators import model_title
from cryptoliq_assets.modeling.evaluation import IMPORTANCE_ROWS, MIN_RESIDUALS, smooth_daily
from cryptoliq_assets.modeling.model_card.facts import CardFacts, longer_windows

# Columns shown as percentages or with four decimals; other numbers have three.
_PERCENTAGES = ("coverage", "standard error", "rise")
_FOUR_DECIMALS = ("MAE", "RMSE", "bias", "mean_width", "mean width", "half-width")
# Columns of prose, which may wrap.
_WRAPPED = ("value", "reason")


def card_page(facts: CardFacts) -> str:
    """Return the page as HTML."""
    metadata = facts.metadata
    sections = [
        f"<h1>{escape(model_title(metadata))}</h1>",
        f"<p>{escape(_summary(metadata))}</p>",
        _key_figures(metadata),
        *(f"<h2>{escape(title)}</h2>\n{body}" for title, body in _sections(facts)),
    ]
    return html_page(f"Model card: {model_title(metadata)}", sections)


def card_markdown(facts: CardFacts) -> str:
    """Return the tables of the card as Markdown, without its charts."""
    metadata = facts.metadata
    parts = [
        f"**{model_title(metadata)}**: {_summary(metadata)}",
        f"Skill {_plain(metadata['metrics']['skill'])}, worst fold {_plain(metadata['metrics']['worst_skill'])}.",
    ]
    for title, frame in (
        ("Data", _data(metadata)),
        ("Folds", _folds(metadata)),
        ("Against the baselines", facts.models),
        ("Calibration", facts.calibration),
        ("Coverage", facts.coverage),
        ("Intervals in use", facts.half_widths),
        ("Importance", facts.importance),
        ("Error by size", facts.buckets),
        ("Worst coins", facts.worst_coins),
        ("Audit log", facts.ledger),
    ):
        parts.append(f"### {title}\n\n{_markdown(frame)}")
    return "\n\n".join(parts)


def _sections(facts: CardFacts) -> list[tuple[str, str]]:
    return [
        ("Data", _table(_data(facts.metadata))),
        *_accuracy_sections(facts),
        *_interval_sections(facts),
        *_error_sections(facts),
        ("Audit log, newest first", _table(facts.ledger)),
    ]


def _accuracy_sections(facts: CardFacts) -> list[tuple[str, str]]:
    metadata, name = facts.metadata, facts.metadata["recipe"]["name"]
    return [
        ("Folds", html_note(_how_folded(metadata)) + _table(_folds(metadata))),
        (
            "Against the baselines",
            html_note(
                "Skill is 1 − MSE / MSE of persistence (no change): 0 is no better than persistence, 1 is without error."
            )
            + _table(facts.models, chosen=name)
            + _error_by_day(facts),
        ),
        (
            "Calibration",
            html_note(
                "Out-of-fold rows in ten equal parts, from the lowest forecasts to the highest. On the dashed line the mean "
                "forecast equals the mean realized score."
            )
            + line_plot(
                facts.calibration["predicted"].tolist(),
                {"realised": facts.calibration["realised"].tolist()},
                title="Mean realized score by decile of the forecast",
                x_label="mean forecast",
                y_label="mean realized",
                points=True,
                diagonal=True,
            )
            + _table(facts.calibration),
        ),
    ]


def _interval_sections(facts: CardFacts) -> list[tuple[str, str]]:
    metadata, level = facts.metadata, facts.metadata["coverage"]["level"]
    return [
        (
            f"Coverage of the {level:.0%} intervals",
            html_note(
                "Each fold after the first, with intervals calibrated on what was known of the previous fold; by coin, on all "
                f"other folds. A group with fewer than {MIN_RESIDUALS} residuals uses the half-width of a pool, shown in the "
                "last column, in which larger groups have more weight. The standard error counts the rows of one day (by "
                "coin: of one coin) as one draw, because they are covered or missed together."
            )
            + _coverage_plot(facts, level)
            + _table(_readable(facts.coverage).rename(columns={"mean_width": "mean width"}), percentages=True),
        ),
        ("Intervals in use", html_note(_how_calibrated(metadata)) + _table(_readable(facts.half_widths))),
    ]


def _error_sections(facts: CardFacts) -> list[tuple[str, str]]:
    return [
        (
            "Feature importance",
            html_note(
                "Increase of the squared error when one feature is shuffled, on up to "
                f"{IMPORTANCE_ROWS:,} held-out rows of the last fold, with the model of that fold. The level that changes "
                "are relative to stays each row's own. The scale is logarithmic."
            )
            + bar_plot(
                {row.feature: round(100.0 * row.rise, 1) for row in facts.importance.itertuples()},
                title="Permutation importance",
                unit=" %",
                logarithmic=True,
            ),
        ),
        ("Error by size", _size_plot(facts) + _table(facts.buckets)),
        (
            "Worst coins",
            html_note("Largest mean absolute error over the tested days; bias is forecast minus realized.")
            + _table(facts.worst_coins),
        ),
    ]


def _summary(metadata: Mapping[str, Any]) -> str:
    days = metadata["horizon_days"]
    ahead = "for tomorrow" if days == 1 else f"{days} days ahead"
    provisional = (
        " Provisional: evaluated on held-out coins, because there are too few dates." if metadata["provisional"] else ""
    )
    return (
        f"Forecasts each coin's liquidity_score ({metadata['formula']}) {ahead}. "
        f"Promoted {str(metadata.get('promoted_at', ''))[:16].replace('T', ' ')} UTC: "
        f"{metadata.get('promotion_reason', '')}.{provisional}"
    )


def _key_figures(metadata: Mapping[str, Any]) -> str:
    metrics = metadata["metrics"]
    cold_start = metadata["metrics"].get("skill_without_history")
    figures = [
        ("skill against persistence", _plain(metrics["skill"])),
        ("worst fold", _plain(metrics["worst_skill"])),
        ("MAE / HAR", _plain(metrics["mae_vs_har"])),
        ("cold-start skill", _plain(cold_start)),
        ("data cutoff", metadata["known_until"]),
    ]
    return html_key_figures(figures)


def _data(metadata: Mapping[str, Any]) -> pd.DataFrame:
    training = metadata["training"]
    libraries = ", ".join(f"{name} {version}" for name, version in metadata.get("libraries", {}).items())
    rows = {
        "dates": f"{training['first_date']} to {training['last_date']} ({training['dates']:,} with labels)",
        "rows": f"{training['rows']:,}",
        "coins": f"{training['coins']:,}",
        "features": f"{len(metadata['features'])}",
        "windows longer than the table": _longer_windows(metadata),
        "fingerprint of the tables": training["fingerprint"],
        "sha256 of the artifact": metadata.get("sha256", ""),
        "libraries": libraries,
        "git revision": metadata.get("git_revision") or "unknown",
    }
    return pd.DataFrame(rows.items(), columns=["what", "value"])


def _longer_windows(metadata: Mapping[str, Any]) -> str:
    windows = longer_windows(metadata)
    if not windows:
        return "none"
    return f"{', '.join(map(str, windows))} days: no row fills them; each contains the available days"


def _folds(metadata: Mapping[str, Any]) -> pd.DataFrame:
    folds = pd.DataFrame(metadata["folds"])
    return folds.rename(columns=lambda name: name.replace("_", " "))


def _how_folded(metadata: Mapping[str, Any]) -> str:
    if metadata["evaluation"] == "over_time":
        return "Rolling origins: each fold is forecast by a model whose data cutoff is its “known until”."
    return (
        "By coin: each group of coins is forecast by a model trained on the other coins, on the same days. Provisional: "
        "nothing here, least of all the intervals, is evidence for new days."
    )


def _how_calibrated(metadata: Mapping[str, Any]) -> str:
    level, fewest = metadata["intervals"]["level"], min(metadata["intervals"]["counts"].values())
    fold = "the last fold" if metadata["evaluation"] == "over_time" else "all folds"
    note = (
        f"An interval is forecast ± half-width, from the out-of-fold residuals of {fold}. If a group has too few of its own, "
        "half-width and residuals are those of a pool: of its kind, or of rows with full history."
    )
    # The largest of n residuals covers a new row with probability n / (n + 1).
    if fewest / (fewest + 1) < level:
        note += f" The smallest number is {fewest}: even the largest of so few residuals cannot guarantee {level:.0%}."
    if metadata["evaluation"] != "over_time":
        note += " The residuals are of other coins on known days, so the intervals are not evidence for new days."
    return note


def _error_by_day(facts: CardFacts) -> str:
    days = [str(day.date()) for day in facts.daily_mae.index]
    return line_plot(
        days, smooth_daily(facts.daily_mae), title="Mean absolute error by day, 7-day mean", y_label="MAE, 7-day mean"
    )


def _coverage_plot(facts: CardFacts, level: float) -> str:
    bars = {row.group: round(100.0 * row.coverage, 1) for row in _readable(facts.coverage).itertuples()}
    return bar_plot(bars, title="Coverage by group", mark=100.0 * level, unit=" %")


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    """Replace `without_history:above_1000` by "without history: above 1000"."""
    names = [name for name in ("group", "residuals of") if name in frame]
    return frame.assign(**{name: [text.replace("_", " ").replace(":", ": ") for text in frame[name]] for name in names})


def _size_plot(facts: CardFacts) -> str:
    filled = facts.buckets[facts.buckets["rows"] > 0]
    bars = dict(zip(filled["market-cap rank"], filled["MAE"], strict=True))
    return bar_plot(bars, title="Mean absolute error by market-cap rank")


def _table(frame: pd.DataFrame, *, chosen: str | None = None, percentages: bool = False) -> str:
    """As `html_table`; percentages: whether columns by fold are fractions of rows."""
    return html_table(frame, shown=partial(_format_value, percentages=percentages), long=_WRAPPED, chosen=chosen)


def _markdown(frame: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + "---|" * len(frame.columns)]
    for row in frame.itertuples(index=False):
        cells = [_escape_cell(_format_value(name, value)) for name, value in zip(frame.columns, row, strict=True)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _format_value(column: object, value: Any, *, percentages: bool = False) -> str:
    if isinstance(value, float):
        if not math.isfinite(value):
            return "–"
        if column in _PERCENTAGES or (percentages and str(column).startswith("fold ")):
            return f"{value:.1%}"
        # Adding zero turns -0.0 into 0.0.
        return f"{round(value, 4) + 0.0:.4f}" if column in _FOUR_DECIMALS else f"{round(value, 3) + 0.0:.3f}"
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) or hasattr(value, "bit_length") else str(value)


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
