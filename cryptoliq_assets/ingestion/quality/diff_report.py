"""What the report of a file says of its comparison with the days before: entries, and sentences for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from cryptoliq_assets.ingestion.quality.scale_changes import ScaleChange

# Entries, and sentences, of one kind in a report.
_MOST_ENTRIES = 50
_MOST_SENTENCES = 20


def make_scale_entry(change: ScaleChange) -> dict[str, Any]:
    """A column on another scale, as a report lists it."""
    quartiles = {"low": change.low, "high": change.high}
    return {"column": change.column, "factor": change.factor, **quartiles, "what": change.sentence}


def make_outlier_entry(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Outliers as a report lists them: their number and the first of them."""
    return {"count": len(cells), "cells": list(cells[:_MOST_ENTRIES])}


def describe_comparison(said: Mapping[str, Any]) -> list[str]:
    """Sentences on what a comparison (`neighbours.Neighbours.compare`) found."""
    before = said["previous_snapshot"]
    scales = [
        f"{change['what']} (snapshot of {before}, median of the coins in both): a scale change; ask the source for the unit "
        "and send the file again in USD"
        for change in said["scale_changes"]
    ]
    renames = [
        f"coin {pair['new']!r} is probably {pair['old']!r} of {before} under a new name: its values continue; the two stay two "
        "coins, send the earlier files again under the new name to join them"
        for pair in said["likely_renames"]
    ]
    reused = [
        f"coin {name!r} is probably another coin than on {before}: price, market cap and supply are all off; give one of the two "
        "another name"
        for name in said["reused_names"]
    ]
    cells = said["outliers"]["cells"]
    outliers = [
        f"coin {cell['coin']!r}, {cell['date']}: {cell['column']} {cell['value']:.4g} is an outlier, usually {cell['usual']:.4g}; "
        "the row is accepted and flagged, it does not train or score, and its forecast uses the days before"
        for cell in cells[:_MOST_SENTENCES]
    ]
    more = said["outliers"]["count"] - len(outliers)
    more_outliers = [f"outliers: {more} more cells"] if more else []
    return [*scales, *_first(reused, "reused names"), *_first(renames, "likely renames"), *outliers, *more_outliers]


def _first(sentences: list[str], kind: str) -> list[str]:
    more = len(sentences) - _MOST_SENTENCES
    return [*sentences[:_MOST_SENTENCES], *([f"{kind}: {more} more"] if more > 0 else [])]
