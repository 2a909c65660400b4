"""Find rows that sum up a file instead of describing a coin.

A name alone is no proof: coins are called Total and All too. The volume has to be the sum of the other rows.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Words of which such a name may consist; one of the first group must be there.
_SUMS = r"(?:sub|grand)?totals?|sums?|all|overall|aggregated?|(?:ins)?gesamt|summe|totale?|итого|всего|合计|总计"
_FILLERS = (
    r"market|markets|grand|crypto|cryptos|cryptocurrency|cryptocurrencies|coins?|tokens?|assets?|volume|cap|of|the|row|"
    r"24h|usdt?|us|day|date|rows|others?|in|for|on|per|\d+"
)
_WORD = re.compile(rf"(?:{_SUMS}|{_FILLERS})")
_SUM_WORD = re.compile(rf"(?:{_SUMS})")
_SIGNS = ("Σ", "∑", "σ")
# A cheap filter that each such name passes.
_CANDIDATE = rf"(?i)(?:{_SUMS}|Σ|∑)"
# Sources round; the sum of rounded volumes is at most this far off.
_TOLERANCE = 0.01
# With one other row, equal volumes are no sum.
_MIN_OTHERS = 2


def is_total_name(name: str) -> bool:
    """Return whether a coin's name reads like that of a total row, whatever its case, blanks and punctuation."""
    words = [word for word in re.findall(r"[^\W_]+", name.casefold()) if word not in _SIGNS]
    if not words:
        return any(sign in name for sign in _SIGNS)
    return all(_WORD.fullmatch(word) for word in words) and any(_SUM_WORD.fullmatch(word) for word in words)


def find_total_rows(
    coins: pa.DictionaryArray, groups: np.ndarray, volumes: np.ndarray, *, valid: np.ndarray
) -> np.ndarray:
    """Return the indices of total rows.

    Args:
        coins: name of the coin of each row.
        groups: file and day of each row, as one number: a total is compared with the rows of its own group.
        volumes: 24h_volume of each row, NaN where empty.
        valid: rows that count; the others are neither totals nor part of a sum.
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
    # Without the other candidates: beside a coin that is called so, or a second total.
    for counted, own in ((summed, 1), (summed & ~named, 0)):
        rows = np.bincount(group[counted], minlength=len(group))[group[candidates]] - own
        sums = np.bincount(group[counted], weights=volumes[counted], minlength=len(group))[group[candidates]]
        sums -= own * volumes[candidates]
        is_total |= (rows >= _MIN_OTHERS) & (np.abs(volumes[candidates] - sums) <= _TOLERANCE * sums)
    return candidates[is_total]
