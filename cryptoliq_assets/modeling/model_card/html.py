"""The model card: a page that needs nothing but itself (no script, nothing from elsewhere), and as Markdown for Dagster."""

import math
from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any

import pandas as pd

from cryptoliq_assets.core import bar_plot, html_key_figures, html_note, html_page, html_table, line_plot
from cryptoliq_assets.modeling.estimators import model_title
from cryptoliq_assets.modeling.evaluation import IMPORTANCE_ROWS, MIN_RESIDUALS, smooth_daily
from cryptoliq_assets.modeling.model_card.facts import CardFacts, longer_windows

# How numbers of these columns are shown; all others have three decimals.
_SHARES = ("coverage", "standard error", "rise")
_FINE = ("MAE", "RMSE", "bias", "mean_width", "mean width", "half-width")
# Columns of prose, which may be broken into lines.
_LONG = ("value", "reason")


def card_page(facts: CardFacts) -> str:
    """The whole page, UTF-8 HTML."""
    metadata = facts.metadata
    sections = [
        f"<h1>{escape(model_title(metadata))}</h1>",
        f"<p>{escape(_what(metadata))}</p>",
        _key_figures(metadata),
        *(f"<h2>{escape(title)}</h2>\n{body}" for title, body in _sections(facts)),
    ]
    return html_page(f"Model card: {model_title(metadata)}", sections)


def card_markdown(facts: CardFacts) -> str:
    """The card's tables, without its plots."""
    metadata = facts.metadata
    parts = [
        f"**{model_title(metadata)}**: {_what(metadata)}",
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
        ("Ledger", facts.ledger),
    ):
        parts.append(f"### {title}\n\n{_markdown(frame)}")
    return "\n\n".join(parts)


def _sections(facts: CardFacts) -> list[tuple[str, str]]:
    metadata, level = facts.metadata, facts.metadata["coverage"]["level"]
    name = metadata["recipe"]["name"]
    return [
        ("Data", _table(_data(metadata))),
        ("Folds", html_note(_how_folded(metadata)) + _table(_folds(metadata))),
        (
            "Against the baselines",
            html_note("Skill is 1 − MSE / MSE of persistence (no change): 0 is worth nothing, 1 is without error.")
            + _table(facts.models, chosen=name)
            + _error_by_day(facts),
        ),
        (
            "Calibration",
            html_note(
                "Out-of-fold rows in ten equal parts, from the lowest forecasts to the highest: on the dashed line a "
                "forecast means what it says."
            )
            + line_plot(
                facts.calibration["predicted"].tolist(),
                {"realised": facts.calibration["realised"].tolist()},
                title="Mean realised score by decile of forecast",
                x_label="mean forecast",
                y_label="mean realised",
                points=True,
                diagonal=True,
            )
            + _table(facts.calibration),
        ),
        (
            f"Coverage of the {level:.0%} intervals",
            html_note(
                "Each fold after the first, its intervals calibrated on what was known of the fold before; by coin, on all the "
                f"others. A group with under {MIN_RESIDUALS} residuals is given the half-width of a pool, named in the last "
                "column, in which larger groups weigh more. The standard error counts the rows of one day (by coin: of one "
                "coin) as one draw, for they are covered or missed together."
            )
            + _coverage_plot(facts, level)
            + _table(_readable(facts.coverage).rename(columns={"mean_width": "mean width"}), shares=True),
        ),
        ("Intervals in use", html_note(_how_calibrated(metadata)) + _table(_readable(facts.half_widths))),
        (
            "Importance of features",
            html_note(
                "Rise of the squared error when what is shown of one feature is shuffled, on up to "
                f"{IMPORTANCE_ROWS:,} rows of the last fold, by the model of that fold, which has not seen them. The level "
                "that changes are counted from stays each row's own. The bars are logarithmic."
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
            "Coins forecast worst",
            html_note("Largest mean absolute error over the tested days; bias is forecast less realised.")
            + _table(facts.worst_coins),
        ),
        ("Ledger, newest first", _table(facts.ledger)),
    ]


def _what(metadata: dict[str, Any]) -> str:
    days = metadata["horizon_days"]
    ahead = "of tomorrow" if days == 1 else f"{days} days ahead"
    provisional = " Provisional: coins were held out, for there are too few dates." if metadata["provisional"] else ""
    return (
        f"Forecasts each coin's liquidity_score ({metadata['formula']}) {ahead}. "
        f"Promoted {str(metadata.get('promoted_at', ''))[:16].replace('T', ' ')} UTC: "
        f"{metadata.get('promotion_reason', '')}.{provisional}"
    )


def _key_figures(metadata: dict[str, Any]) -> str:
    metrics = metadata["metrics"]
    bare = metadata["metrics"].get("skill_without_history")
    figures = [
        ("skill against persistence", _plain(metrics["skill"])),
        ("worst fold", _plain(metrics["worst_skill"])),
        ("MAE / HAR", _plain(metrics["mae_vs_har"])),
        ("skill without history", _plain(bare)),
        ("known until", metadata["known_until"]),
    ]
    return html_key_figures(figures)


def _data(metadata: dict[str, Any]) -> pd.DataFrame:
    training = metadata["training"]
    libraries = ", ".join(f"{name} {found}" for name, found in metadata.get("libraries", {}).items())
    told = {
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
    return pd.DataFrame(told.items(), columns=["what", "value"])


def _longer_windows(metadata: dict[str, Any]) -> str:
    windows = longer_windows(metadata)
    if not windows:
        return "none"
    return f"{', '.join(map(str, windows))} days: no row fills them, and each holds the days that there are"


def _folds(metadata: dict[str, Any]) -> pd.DataFrame:
    folds = pd.DataFrame(metadata["folds"])
    return folds.rename(columns=lambda name: name.replace("_", " "))


def _how_folded(metadata: dict[str, Any]) -> str:
    if metadata["evaluation"] == "over_time":
        return "Rolling origins: each fold is forecast by a model that knew nothing after its “known until”."
    return (
        "By coin: each group of coins is forecast by a model that has seen the others only, on the same days. Provisional: "
        "nothing here, the intervals least of all, claims anything about new days."
    )


def _how_calibrated(metadata: dict[str, Any]) -> str:
    level, fewest = metadata["intervals"]["level"], min(metadata["intervals"]["counts"].values())
    fold = "the last fold" if metadata["evaluation"] == "over_time" else "all folds"
    told = (
        f"A forecast ± half-width, from the out-of-fold residuals of {fold}. Where a group has too few of its own, half-width "
        "and residuals are those of a pool: of its kind, or of rows with all their history."
    )
    # The largest of n residuals covers a new row with probability n / (n + 1).
    if fewest / (fewest + 1) < level:
        told += f" The fewest are {fewest}: even the largest of so few cannot promise {level:.0%}."
    if metadata["evaluation"] != "over_time":
        told += " Its residuals are of other coins on days that were known: by coin, an interval claims nothing about new days."
    return told


def _error_by_day(facts: CardFacts) -> str:
    days = [str(day.date()) for day in facts.daily_mae.index]
    return line_plot(
        days, smooth_daily(facts.daily_mae), title="Mean absolute error by day, 7-day mean", y_label="MAE, 7-day mean"
    )


def _coverage_plot(facts: CardFacts, level: float) -> str:
    bars = {row.group: round(100.0 * row.coverage, 1) for row in _readable(facts.coverage).itertuples()}
    return bar_plot(bars, title="Coverage by group", mark=100.0 * level, unit=" %")


def _readable(frame: pd.DataFrame) -> pd.DataFrame:
    """`without_history:above_1000` as "without history: above 1000"."""
    names = [name for name in ("group", "residuals of") if name in frame]
    return frame.assign(**{name: [text.replace("_", " ").replace(":", ": ") for text in frame[name]] for name in names})


def _size_plot(facts: CardFacts) -> str:
    there = facts.buckets[facts.buckets["rows"] > 0]
    bars = dict(zip(there["market-cap rank"], there["MAE"], strict=True))
    return bar_plot(bars, title="Mean absolute error by market-cap rank")


def _table(frame: pd.DataFrame, *, chosen: str | None = None, shares: bool = False) -> str:
    """As `html_table`; shares: columns by fold are shares of rows."""
    return html_table(frame, shown=partial(_shown, shares=shares), long=_LONG, chosen=chosen)


def _markdown(frame: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + "---|" * len(frame.columns)]
    clean: Callable[[str], str] = lambda text: text.replace("|", "\\|").replace("\n", " ")  # noqa: E731
    for row in frame.itertuples(index=False):
        cells = [clean(_shown(name, value)) for name, value in zip(frame.columns, row, strict=True)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _shown(column: object, value: Any, *, shares: bool = False) -> str:
    if isinstance(value, float):
        if not math.isfinite(value):
            return "–"
        if column in _SHARES or (shares and str(column).startswith("fold ")):
            return f"{value:.1%}"
        # + 0.0 makes one zero of the two.
        return f"{round(value, 4) + 0.0:.4f}" if column in _FINE else f"{round(value, 3) + 0.0:.3f}"
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) or hasattr(value, "bit_length") else str(value)


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
