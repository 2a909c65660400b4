"""Formatted numbers of people and spreadsheets, which are not plain numbers: signs, separators, units.

The value parsed here shows which cells an error affects. It never enters a table: only the source knows what `1.234` means.
Add a format here with its expected text; deciding whether an error is systematic belongs in `cell_errors`.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_MINUS_SIGNS = "\u2212\u2010\u2011\u2012\u2013\u2014\ufe58\ufe63\uff0d"
_GROUP_SIGNS = "\u00a0\u202f\u2009\u2007 '\u2019\u02bc_"
_CURRENCY = r"(?:US\$|[$€£¥₿₹₩₽]|USDT?|EUR|GBP|BTC|JPY)"
_ARROWS = re.compile(r"^(?:([▲△↑⬆🔺🟢⇧])|[▼▽↓⬇🔻🔴⇩])\ufe0f?\s*|\s*(?:([▲△↑⬆🔺🟢⇧])|[▼▽↓⬇🔻🔴⇩])\ufe0f?$")
_BOUND = re.compile(r"^(?:[<>~≈≤≥]=?|ca\.?)\s*")
# 0.0₅12 means 0.00000012.
_COUNTED_ZEROS = re.compile(r"0\.0([₀-₉]{1,3})(\d+)")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_PERCENT = re.compile(r"^[%％٪‰]\s*|\s*[%％٪‰]$")
_MONEY = re.compile(rf"^([+-]?)\s*{_CURRENCY}\s*|\s*{_CURRENCY}$", re.I)
_SCALE = re.compile(r"(?<=[\d.])\s*(k|m|mn|mio|b|bn|t|tn|million|billion|trillion)$", re.I)
_SCALES = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_GROUPED = re.compile(rf"[+-]?\d{{1,3}}(?:[{_GROUP_SIGNS}]\d{{2,3}})+(?:[.,]\d*)?")
_COMMA_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{2,3})+(?:\.\d*)?")
_DOT_GROUPED = re.compile(r"[+-]?\d{1,3}(?:\.\d{3}){2,}|[+-]?\d{1,3}(?:\.\d{3})+,\d*")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_PLACEHOLDER = re.compile(
    r"[\W_]+|#?n\.?/?a\.?n?\.?|#(?:div/0|value|ref|name|num|null)[!?]?|nil|undefined|unknown|missing|tbd|no data", re.I
)

MINUS, PARENTHESES, PERCENT, CURRENCY = (
    "a Unicode minus",
    "negative numbers in parentheses",
    "a percent sign",
    "a currency",
)
THOUSANDS, DECIMAL_COMMA, SCALED, PLACEHOLDER = (
    "thousands separators",
    "a decimal comma",
    "a unit such as K, M or B",
    "a placeholder for no value",
)
TRAILING_MINUS = "a minus behind the number"
APART, ARROW, BOUND, QUOTE, ZEROS, SIGNS = (
    "a sign apart from its number",
    "an arrow instead of a sign",
    "a bound instead of a number",
    "an apostrophe before the number",
    "zeros counted in subscript",
    "digits or signs that are not ASCII",
)
# The expected format, by kind of error.
EXPECTED = {
    MINUS: "the sign - (U+002D) before negative numbers",
    TRAILING_MINUS: "the sign - (U+002D) before negative numbers",
    PARENTHESES: "the sign - before negative numbers",
    APART: "the sign next to the number",
    ARROW: "the sign - before negative numbers",
    BOUND: "the number itself",
    QUOTE: "only the number",
    ZEROS: "the number written out, or with an exponent such as 1.2e-7",
    SIGNS: "the digits 0 to 9 and the signs + and -",
    PERCENT: "only the number",
    CURRENCY: "only the number, in USD",
    THOUSANDS: "digits without separators, such as 1234567.8",
    DECIMAL_COMMA: "a decimal point, such as 1234.5",
    SCALED: "the number written out",
    PLACEHOLDER: "an empty cell if there is no value",
}
# Kinds of error that only certain values can have, such as negative or large ones.
VALUE_DEPENDENT_KINDS = {MINUS, TRAILING_MINUS, PARENTHESES, APART, ARROW, BOUND, ZEROS, THOUSANDS, SCALED}


@dataclass(frozen=True)
class FormattedNumber:
    """A number that is not plain.

    Attributes:
        kinds: What prevents the cell from being a plain number.
        value: The number that it probably means; NaN for a placeholder.
    """

    kinds: frozenset[str]
    value: float


def uses_decimal_comma(cells: Sequence[str]) -> bool:
    """Return whether the commas in the cells of a column are decimal commas rather than thousands separators.

    Example:
        >>> uses_decimal_comma(["1,5", "12,25"]), uses_decimal_comma(["1,500", "12,250"])
        (True, False)
    """
    commas = [cell for cell in cells if "," in cell]
    digits = [re.sub(r"[^\d.,]", "", cell) for cell in commas]
    return any(_DECIMAL_COMMA.fullmatch(cell) and not _COMMA_GROUPED.fullmatch(cell) for cell in digits) or any(
        _DOT_GROUPED.fullmatch(cell) for cell in digits
    )


def parse_formatted_number(cell: str, *, decimal_comma: bool = False) -> FormattedNumber | None:
    """Parse a formatted number.

    Args:
        cell: Trimmed cell that is not a plain number.
        decimal_comma: Whether commas in its column are decimal commas.

    Returns:
        The number and the kinds of its errors, or None if the cell is no formatted number either.

    Example:
        >>> parsed = parse_formatted_number("(1.5%)")
        >>> parsed.value, sorted(parsed.kinds)
        (-1.5, ['a percent sign', 'negative numbers in parentheses'])
        >>> parse_formatted_number("Bitcoin") is None
        True
    """
    if _PLACEHOLDER.fullmatch(cell):
        return FormattedNumber(frozenset({PLACEHOLDER}), float("nan"))
    kinds: set[str] = set()
    text, sign = cell, 1.0
    if text.startswith("(") and text.endswith(")"):
        kinds.add(PARENTHESES)
        text, sign = text[1:-1].strip(), -1.0
    translated = re.sub(rf"[{_MINUS_SIGNS}]", "-", text)
    if translated != text:
        kinds.add(MINUS)
        text = translated
    for pattern, kind, replacement in ((_PERCENT, PERCENT, ""), (_MONEY, CURRENCY, r"\1")):
        stripped = pattern.sub(replacement, text).strip()
        if stripped != text:
            kinds.add(kind)
            text = stripped
    text, negated = _normalize_signs(text, kinds)
    sign = -sign if negated else sign
    if re.fullmatch(r"[^+-].*\d-", text):
        kinds.add(TRAILING_MINUS)
        text, sign = text[:-1].strip(), -sign
    factor, unit = 1.0, _SCALE.search(text)
    if unit:
        kinds.add(SCALED)
        text, factor = text[: unit.start()], _SCALES[unit[1][0].lower()]
    number = _remove_separators(text, kinds, decimal_comma=decimal_comma)
    return FormattedNumber(frozenset(kinds), sign * factor * float(number)) if number and kinds else None


def _normalize_signs(text: str, kinds: set[str]) -> tuple[str, bool]:
    """Return a number with ASCII signs and digits, and whether an arrow makes it negative; adds to `kinds`."""
    negated = False
    for pattern, kind in ((_ARROWS, ARROW), (_BOUND, BOUND)):
        match = pattern.search(text)
        if match and match.group():
            kinds.add(kind)
            text = pattern.sub("", text).strip()
            negated = kind == ARROW and not any(match.groups())
    counted = _COUNTED_ZEROS.fullmatch(text)
    if counted:
        kinds.add(ZEROS)
        zeros = int(counted[1].translate(_SUBSCRIPTS))
        return f"{counted[2]}e-{zeros + len(counted[2])}", negated
    ascii_text = text if text.isascii() else "".join(_to_ascii(character) for character in text)
    if ascii_text != text:
        kinds.add(SIGNS)
    joined = re.sub(r"^([+-])\s+(?=[\d.])", r"\1", ascii_text)
    if joined != ascii_text:
        kinds.add(APART)
    unquoted = re.sub(r"^['`\u2018\u2019](?=[+-]?[\d.])", "", joined)
    if unquoted != joined:
        kinds.add(QUOTE)
    return unquoted, negated


def _to_ascii(character: str) -> str:
    """Return the ASCII digit or sign that a character represents, else the character."""
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    return {"\uff0b": "+", "\uff0e": ".", "\uff0c": ",", "\u066b": ".", "\ufe62": "+"}.get(character, character)


def _remove_separators(text: str, kinds: set[str], *, decimal_comma: bool) -> str | None:
    """Return the number without separators, and add their kinds to `kinds`; None if it is no number."""
    if _PLAIN.fullmatch(text):
        return text
    if _GROUPED.fullmatch(text):
        kinds.add(THOUSANDS)
        plain = re.sub(rf"[{_GROUP_SIGNS}]", "", text)
        return plain.replace(",", ".")
    if _DOT_GROUPED.fullmatch(text):
        kinds.update({THOUSANDS, DECIMAL_COMMA} if "," in text else {THOUSANDS})
        return text.replace(".", "").replace(",", ".")
    if decimal_comma and _DECIMAL_COMMA.fullmatch(text):
        kinds.add(DECIMAL_COMMA)
        return text.replace(",", ".")
    if _COMMA_GROUPED.fullmatch(text):
        kinds.add(THOUSANDS)
        return text.replace(",", "")
    if _DECIMAL_COMMA.fullmatch(text):
        kinds.add(DECIMAL_COMMA)
        return text.replace(",", ".")
    return None
