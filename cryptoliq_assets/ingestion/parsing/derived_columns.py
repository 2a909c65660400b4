"""Columns of the contract that are computed from others where a file does not contain them.

Add a formula here if a column of the contract may be missing from files. Features belong in `features`.
"""

from collections.abc import Mapping

import numpy as np


def derive_columns(numbers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Compute liquidity_ratio and price_change_24h.

    Args:
        numbers: Columns price (USD), 24h_volume (USD), mkt_cap (USD) and 24h (percent), each of shape (rows,), NaN if empty.

    Returns:
        liquidity_ratio = 24h_volume / mkt_cap, NaN without a market cap; price_change_24h (USD) =
        price - price / (1 + 24h / 100), NaN for a change of -100 % or below.

    Example:
        >>> numbers = {"price": 110.0, "24h_volume": 50.0, "mkt_cap": 200.0, "24h": 10.0}
        >>> derived = derive_columns({name: np.array([value]) for name, value in numbers.items()})
        >>> {name: round(values.item(), 6) for name, values in derived.items()}
        {'liquidity_ratio': 0.25, 'price_change_24h': 10.0}
    """
    with np.errstate(all="ignore"):
        growth = 1 + numbers["24h"] / 100
        derived = {
            "liquidity_ratio": np.where(numbers["mkt_cap"] > 0, numbers["24h_volume"] / numbers["mkt_cap"], np.nan),
            "price_change_24h": np.where(growth > 0, numbers["price"] - numbers["price"] / growth, np.nan),
        }
    for values in derived.values():
        # Overflow of extreme values, such as 1e300 / 1e-300.
        values[np.isinf(values)] = np.nan
    return derived
