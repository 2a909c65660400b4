"""Entries and messages of a file report about the comparison with earlier snapshots.

The comparison itself belongs in `snapshot_diff.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from cryptoliq_assets.ingestion.quality.scale_changes import ScaleChange

# Maximum number of entries, and of messages, of one kind in a report.
_MAX_ENTRIES = 50
_MAX_SENTENCES = 20


def make_scale_entry(change: ScaleChange) -> dict[str, Any]:
    """Make the report entry of a column on another scale."""
    quartiles = {"low": change.low, "high": change.high}
    return {"column": change.column, "factor": change.factor, **quartiles, "what": change.sentence}


def make_outlier_entry(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Make the report entry of outliers: their number and the first of them."""
    return {"count": len(cells), "cells": list(cells[:_MAX_ENTRIES])}


def describe_comparison(comparison: Mapping[str, Any]) -> list[str]:
    """Describe a comparison in sentences.

    Args:
        comparison: Result of `SnapshotComparer.compare` for one file.

    Returns:
        Sentences for the issues of the report.
    """
    before = comparison["previous_snapshot"]
    scales = [
        f"{change['what']} (snapshot of {before}, median of the coins in both): a scale change; ask the source for the unit "
        "and send the file again in USD"
        for change in comparison["scale_changes"]
    ]
    renames = [
        f"coin {pair['new']!r} is probably {pair['old']!r} of {before} under a new name: its values continue; the two stay two "
        "coins, send the earlier files again under the new name to join them"
        for pair in comparison["likely_renames"]
    ]
    reused = [
        f"coin {name!r} is probably another coin than on {before}: price, market cap and supply are all off; give one of the two "
        "another name"
        for name in comparison["reused_names"]
    ]
    cells = comparison["outliers"]["cells"]
    outliers = [
        f"coin {cell['coin']!r}, {cell['date']}: {cell['column']} {cell['value']:.4g} is an outlier, usually {cell['usual']:.4g}; "
        "the row is accepted and flagged, it is not used to train or score models, and its forecast uses the days before"
        for cell in cells[:_MAX_SENTENCES]
    ]
    more = comparison["outliers"]["count"] - len(outliers)
    more_outliers = [f"outliers: {more} more cells"] if more else []
    return [*scales, *_first(reused, "reused names"), *_first(renames, "likely renames"), *outliers, *more_outliers]


def _first(sentences: list[str], kind: str) -> list[str]:
    more = len(sentences) - _MAX_SENTENCES
    return [*sentences[:_MAX_SENTENCES], *([f"{kind}: {more} more"] if more > 0 else [])]
