"""Page What if: the forecast of a row that is typed in, without history or with the history of a coin."""

import datetime as dt
from typing import Any

import pandas as pd
import streamlit as st

from cryptoliq_assets.dashboard import (
    Page,
    UserFacingError,
    charts,
    escape_markdown,
    format_horizon,
    format_number,
    lacks_champion,
    load_coin,
    load_forecasts,
    render_page,
    show_chart,
    show_metrics,
)
from cryptoliq_assets.dashboard.data_sources import Source
from cryptoliq_assets.schemas import PLAUSIBLE_BOUNDS
from cryptoliq_assets.serving import PredictRequest

PAGE = Page("What if", icon=":material/tune:", order=30)

# Labels and meanings of fields, where the name and the description of the request model do not say enough to a reader.
_TEXTS: dict[str, tuple[str, str]] = {
    "price": ("Price, USD", "of one coin"),
    "1h": ("1h change, %", "in percent: 1.5 is 1.5 %"),
    "24h": ("24h change, %", "in percent: 1.5 is 1.5 %"),
    "7d": ("7d change, %", "in percent: 1.5 is 1.5 %"),
    "24h_volume": ("24h volume, USD", "value traded"),
    "mkt_cap": ("Market cap, USD", "empty: unknown"),
    "liquidity_ratio": ("Liquidity ratio", "volume / market cap; empty: derived"),
    "price_change_24h": ("24h change, USD", "empty: derived from price and change"),
    "high_24h": ("24h high, USD", "highest price of the last 24 hours; empty: unknown"),
    "low_24h": ("24h low, USD", "lowest price of the last 24 hours; empty: unknown"),
}
# Fields with an input of their own kind.
_OTHER_INPUTS = ("coin", "date")


def _list_fields() -> dict[str, tuple[str, str]]:
    """Return label and meaning of each number of a request, required ones first, as the request model declares them.

    The form has no bounds: a browser would not send a value beyond them, and the previous result would remain as if it belonged to
    the new row.
    """
    declared = {field.alias or name: field for name, field in PredictRequest.model_fields.items()}
    numbers = sorted(
        (name for name in declared if name not in _OTHER_INPUTS), key=lambda n: not declared[n].is_required()
    )
    return {
        name: _TEXTS.get(name, (name.replace("_", " ").capitalize(), declared[name].description or ""))
        for name in numbers
    }


_FIELDS = _list_fields()
_LABELS = {name: label for name, (label, _) in _FIELDS.items()} | {"date": "Date, UTC", "coin": "Coin"}
_COLUMNS_PER_ROW = 4
_REQUIRED = tuple(field.alias or name for name, field in PredictRequest.model_fields.items() if field.is_required())
# Derived again from the inputs: a changed volume with the old ratio would contradict itself.
_DERIVED = ("liquidity_ratio", "price_change_24h")
_INPUTS_USED = {
    "history": "the row and the coin's stored days",
    "snapshot": "the row only: no stored day in the 3 days before it",
}
# The significant digits of a float.
_DIGITS = ".12g"


def show(source: Source) -> None:
    """Draw the page."""
    if lacks_champion(source):
        return
    _, coins = load_forecasts(source)
    names = coins["coin"].tolist() if len(coins) else []
    logged = "The service logs the request." if source.home is None else "The tables are not changed."
    st.caption(f"Edit inputs of a row to see its forecast. {logged}")
    name = st.selectbox(
        "Start from a coin",
        names,
        index=None,
        key="of",
        placeholder="none: a row without history",
        help="Fills in its newest row; the forecast then also uses its stored days.",
    )
    row = (load_coin(source, name) or {}).get("snapshot", {}) if name else {}
    body = _show_form(row, name)
    if body is None:
        return
    missing = [_LABELS[field] for field in _REQUIRED if body.get(field) is None]
    if missing:
        raise UserFacingError("Required inputs are missing", f"Fill in {' and '.join(missing)}.")
    with st.spinner("Forecasting"):
        known = {field: value for field, value in body.items() if value is not None}
        result = _predict(source, {**known, **_derive_fields(body)})
    _show_result(result, body, coins)


def _predict(source: Source, body: dict[str, Any]) -> dict[str, Any]:
    """Forecast the row; a rejection names the fields by their labels."""
    try:
        return source.predict(body)
    except UserFacingError as error:
        if not error.fields:
            raise
        fields = tuple((_LABELS.get(name, name), reason) for name, reason in error.fields)
        raise UserFacingError("The row was rejected", "", fields) from error


def _show_form(row: dict[str, Any], name: str | None) -> dict[str, Any] | None:
    """Return the row once it is submitted, otherwise None. Widget keys contain the coin: another coin fills them in again."""
    body: dict[str, Any] = {}
    with st.form(f"row of {name}", border=True):
        day = dt.date.fromisoformat(row["date"]) if row else dt.datetime.now(dt.UTC).date()
        # Row by row, so that a narrow screen stacks them in the same order.
        columns = [
            column for _ in range(0, len(_FIELDS) + 1, _COLUMNS_PER_ROW) for column in st.columns(_COLUMNS_PER_ROW)
        ]
        for column, (field, (label, meaning)) in zip(columns, _FIELDS.items(), strict=False):
            value = None if field in _DERIVED else row.get(field)
            body[field] = column.number_input(
                label,
                value=None if value is None else float(value),
                format=f"%{_DIGITS}",
                step=None,
                help=f"`{field}`: {meaning}",
                placeholder="derived" if field in _DERIVED else "required" if field in _REQUIRED else "unknown",
                key=f"{field} of {name}",
            )
        date = columns[len(_FIELDS)].date_input("Date, UTC", value=day, format="YYYY-MM-DD", key=f"date of {name}")
        is_submitted = st.form_submit_button("Forecast", type="primary")
    if not is_submitted:
        return None
    return {**body, **({"coin": name} if name else {}), "date": date.isoformat()}


def _derive_fields(body: dict[str, Any]) -> dict[str, float]:
    """Derive the empty derived fields like ingestion, unless implausible: a value that was not typed is never rejected."""
    price, volume, cap, change = (body[name] for name in ("price", "24h_volume", "mkt_cap", "24h"))
    derived: dict[str, float] = {}
    if volume is not None and volume >= 0 and cap is not None and cap > 0:
        derived["liquidity_ratio"] = volume / cap
    if price is not None and price > 0 and change is not None and change > -100:
        derived["price_change_24h"] = price - price / (1 + change / 100)
    return {
        name: value for name, value in derived.items() if body[name] is None and PLAUSIBLE_BOUNDS[name].contains(value)
    }


def _format_row(body: dict[str, Any]) -> str:
    """Format the submitted row in one line: the form above it may have been edited since."""
    values = {name: value for name, value in body.items() if name not in ("coin", "date") and value is not None}
    numbers = "; ".join(f"{_LABELS[name]} {value:,{_DIGITS}}" for name, value in values.items())
    return f"{body.get('coin', 'no coin')}, {body['date']}: {numbers}"


def _show_result(result: dict[str, Any], body: dict[str, Any], coins: pd.DataFrame) -> None:
    st.caption(f"Forecast of the row: {escape_markdown(_format_row(body))}.")
    show_metrics(
        {
            f"Forecast, {format_horizon(result['horizon_days'])}": format_number(result["liquidity_score"]),
            f"{result['level']:.0%} interval": f"{format_number(result['lower'])} to {format_number(result['upper'])}",
            "Percentile": format_number(result.get("percentile"), ".1f"),
        },
        helps={"Percentile": "percentage of the newest forecasts that are below this one"},
    )
    basis = result["basis"]
    inputs = _INPUTS_USED.get(basis, basis) if "coin" in body else "the row only: no coin was selected"
    model = f"{escape_markdown(result['model'])} {escape_markdown(result['model_version'])}"
    st.caption(f"Inputs used: {escape_markdown(inputs)}. Model: {model}.")
    flags = result["flags"]
    if flags["volatility_floored"]:
        st.warning("Volatility is below its floor: a peg or a stale price. The score is less informative.")
    if flags["out_of_range"]:
        labels = ", ".join(_LABELS.get(name, name) for name in flags["out_of_range"])
        st.warning(f"Rarely or never seen in training (outside 0.1 to 99.9 %): {escape_markdown(labels)}.")
    if flags["stale_history"]:
        st.warning("The coin's last stored day is more than 3 days before that date.")
    if len(coins):
        show_chart(
            charts.draw_histogram(
                coins["liquidity_score"].dropna(),
                title="This forecast among the newest forecasts",
                mark=result["liquidity_score"],
                band=(result["lower"], result["upper"]),
            ),
            key="among",
        )


if __name__ == "__main__":
    render_page(PAGE, show)
