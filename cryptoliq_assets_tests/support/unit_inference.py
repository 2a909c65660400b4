"""Unit inference for one file."""

import numpy as np

from cryptoliq_assets.ingestion.parsing.units import UnitConflictError, UnitFinding, infer_units


def find_unit(changes: dict[str, np.ndarray], price: np.ndarray, **options: object) -> UnitFinding:
    """Return the finding about one file; raise its conflict."""
    one = np.zeros(len(price), dtype=np.int64)
    [finding] = infer_units(changes, price, file_of=one, files=1, **options)
    if isinstance(finding, UnitConflictError):
        raise finding
    return finding
