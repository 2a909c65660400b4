"""Detection of rows that contain the total of a file instead of a coin.

A name alone is not proof, because coins are called Total and All too: the volume must also be the sum of the other rows.
Add words that sources use for totals here.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Words of which such a name may consist; at least one word of the first group is required.
_TOTAL_WORDS = r"(?:sub|grand)?totals?|sums?|all|overall|aggregated?|(?:ins)?gesamt|summe|totale?|итого|всего|合计|总计"
_FILLERS = (
    r"market|markets|grand|crypto|cryptos|cryptocurrency|cryptocurrencies|coins?|tokens?|assets?|volume|cap|of|the|row|"
    r"24h|usdt?|us|day|date|rows|others?|in|for|on|per|\d+"
)
_WORD = re.compile(rf"(?:{_TOTAL_WORDS}|{_FILLERS})")
_TOTAL_WORD = re.compile(rf"(?:{_TOTAL_WORDS})")
_SIGNS = ("Σ", "∑", "σ")
# Cheap filter that every such name passes.
_CANDIDATE = rf"(?i)(?:{_TOTAL_WORDS}|Σ|∑)"
# Sources round: the sum of rounded volumes differs from the total by at most this fraction.
_TOLERANCE = 0.01
# With a single other row, an equal volume is not a sum.
_MIN_OTHERS = 2


def is_total_name(name: str) -> bool:
    """Return whether a coin name reads like a total, ignoring case, whitespace and punctuation.

    Example:
        >>> is_total_name("Grand total (USD)"), is_total_name("Total Protocol")
        (True, False)
    """
    words = [word for word in re.findall(r"[^\W_]+", name.casefold()) if word not in _SIGNS]
    if not words:
        return any(sign in name for sign in _SIGNS)
    return all(_WORD.fullmatch(word) for word in words) and any(_TOTAL_WORD.fullmatch(word) for word in words)


def find_total_rows(
    coins: pa.DictionaryArray, groups: np.ndarray, volumes: np.ndarray, *, valid: np.ndarray
) -> np.ndarray:
    """Find rows that contain the total of their group.

    Args:
        coins: Coin name of each row.
        groups: File and date of each row, encoded as one integer: a total is compared with the rows of its own group.
        volumes: 24h_volume of each row in USD, NaN if empty.
        valid: Mask of the rows that are considered; the others are neither totals nor part of a sum.

    Returns:
        Indices of the total rows.
    """
    dictionary = coins.dictionary
    possible = dictionary.filter(pc.match_substring_regex(dictionary, _CANDIDATE)).to_pylist()
    names = [name for name in possible if is_total_name(name)]
    if not names:
        return np.array([], dtype=np.int64)
    named = np.isin(coins.indices.to_numpy(), pc.index_in(pa.array(names), value_set=dictionary).to_numpy())
    summed = valid & ~np.isnan(volumes)
    candidates = np.flatnonzero(named & summed & (volumes > 0))
    if not len(candidates):
        return candidates
    _, group = np.unique(groups, return_inverse=True)
    is_total = np.zeros(len(candidates), dtype=bool)
    # Both with and without the other candidates: one of them may be a coin of that name, or a second total.
    for counted, own in ((summed, 1), (summed & ~named, 0)):
        rows = np.bincount(group[counted], minlength=len(group))[group[candidates]] - own
        sums = np.bincount(group[counted], weights=volumes[counted], minlength=len(group))[group[candidates]]
        sums -= own * volumes[candidates]
        is_total |= (rows >= _MIN_OTHERS) & (np.abs(volumes[candidates] - sums) <= _TOLERANCE * sums)
    return candidates[is_total]
