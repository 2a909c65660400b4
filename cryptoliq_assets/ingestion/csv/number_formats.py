"""Read cells that people or spreadsheets format as numbers but a plain number is not: signs, separators, units.

The value read here tells whom an error strikes. It never enters a table: what `1.234` means is for the source to say.
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
# 0.0₅12 stands for 0.00000012.
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
# What was expected instead, by kind of error.
EXPECTED = {
    MINUS: "the sign - (U+002D) before negative numbers",
    TRAILING_MINUS: "the sign - (U+002D) before negative numbers",
    PARENTHESES: "the sign - before negative numbers",
    APART: "the sign next to the number",
    ARROW: "the sign - before negative numbers",
    BOUND: "the number itself",
    QUOTE: "the number alone",
    ZEROS: "the number written out, or with an exponent such as 1.2e-7",
    SIGNS: "the digits 0 to 9 and the signs + and -",
    PERCENT: "the number alone",
    CURRENCY: "the number alone, in USD",
    THOUSANDS: "digits without separators, such as 1234567.8",
    DECIMAL_COMMA: "a decimal point, such as 1234.5",
    SCALED: "the number written out",
    PLACEHOLDER: "an empty cell where there is no value",
}
# Errors that only cells of certain values can have.
BY_VALUE = {MINUS, TRAILING_MINUS, PARENTHESES, APART, ARROW, BOUND, ZEROS, THOUSANDS, SCALED}


@dataclass(frozen=True)
class FormattedNumber:
    """What keeps a cell from being a plain number, and the number it means; NaN for none."""

    kinds: frozenset[str]
    value: float


def uses_decimal_comma(cells: Sequence[str]) -> bool:
    """Return whether the commas in the cells of a column separate decimals rather than thousands."""
    commas = [cell for cell in cells if "," in cell]
    bare = [re.sub(r"[^\d.,]", "", cell) for cell in commas]
    return any(_DECIMAL_COMMA.fullmatch(cell) and not _COMMA_GROUPED.fullmatch(cell) for cell in bare) or any(
        _DOT_GROUPED.fullmatch(cell) for cell in bare
    )


def read_formatted(cell: str, *, decimal_comma: bool = False) -> FormattedNumber | None:
    """Return what a trimmed cell means that is not a plain number, or None if it is no formatted number either."""
    if _PLACEHOLDER.fullmatch(cell):
        return FormattedNumber(frozenset({PLACEHOLDER}), float("nan"))
    kinds, text, sign = set(), cell, 1.0
    if text.startswith("(") and text.endswith(")"):
        kinds.add(PARENTHESES)
        text, sign = text[1:-1].strip(), -1.0
    translated = re.sub(rf"[{_MINUS_SIGNS}]", "-", text)
    if translated != text:
        kinds.add(MINUS)
        text = translated
    for pattern, kind, kept in ((_PERCENT, PERCENT, ""), (_MONEY, CURRENCY, r"\1")):
        stripped = pattern.sub(kept, text).strip()
        if stripped != text:
            kinds.add(kind)
            text = stripped
    text, negated = _plain_signs(text, kinds)
    sign = -sign if negated else sign
    if re.fullmatch(r"[^+-].*\d-", text):
        kinds.add(TRAILING_MINUS)
        text, sign = text[:-1].strip(), -sign
    factor, unit = 1.0, _SCALE.search(text)
    if unit:
        kinds.add(SCALED)
        text, factor = text[: unit.start()], _SCALES[unit[1][0].lower()]
    number = _ungroup(text, kinds, decimal_comma=decimal_comma)
    return FormattedNumber(frozenset(kinds), sign * factor * float(number)) if number and kinds else None


def _plain_signs(text: str, kinds: set[str]) -> tuple[str, bool]:
    """Return a number with the sign and the digits of ASCII, and whether an arrow makes it negative; adds to `kinds`."""
    negated = False
    for pattern, kind in ((_ARROWS, ARROW), (_BOUND, BOUND)):
        found = pattern.search(text)
        if found and found.group():
            kinds.add(kind)
            text = pattern.sub("", text).strip()
            negated = kind == ARROW and not any(found.groups())
    counted = _COUNTED_ZEROS.fullmatch(text)
    if counted:
        kinds.add(ZEROS)
        zeros = int(counted[1].translate(_SUBSCRIPTS))
        return f"{counted[2]}e-{zeros + len(counted[2])}", negated
    ascii_text = text if text.isascii() else "".join(_ascii_sign(sign) for sign in text)
    if ascii_text != text:
        kinds.add(SIGNS)
    bare = re.sub(r"^([+-])\s+(?=[\d.])", r"\1", ascii_text)
    if bare != ascii_text:
        kinds.add(APART)
    quoted = re.sub(r"^['`\u2018\u2019](?=[+-]?[\d.])", "", bare)
    if quoted != bare:
        kinds.add(QUOTE)
    return quoted, negated


def _ascii_sign(sign: str) -> str:
    """Return the digit or sign of ASCII that a character stands for, else the character."""
    digit = unicodedata.decimal(sign, None)
    if digit is not None:
        return str(digit)
    return {"\uff0b": "+", "\uff0e": ".", "\uff0c": ",", "\u066b": ".", "\ufe62": "+"}.get(sign, sign)


def _ungroup(text: str, kinds: set[str], *, decimal_comma: bool) -> str | None:
    """Return a plain number for one with separators, and add what they are to `kinds`; None if it is no number."""
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
