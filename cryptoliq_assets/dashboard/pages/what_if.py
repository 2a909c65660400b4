"""What if: a forecast of a row that is typed in, on its own or with the history of a coin behind it."""

import datetime as dt
from typing import Any

import streamlit as st

from cryptoliq_assets.dashboard import (
    UserFacingError,
    ahead,
    chart,
    charts,
    coin,
    figures,
    forecasts,
    needs_champion,
    page,
    shown,
    text,
)
from cryptoliq_assets.dashboard.data_sources import Source
from cryptoliq_assets.schemas import PLAUSIBLE_BOUNDS

# Contract field → label, what it means. No bounds: a browser would hold back a row beyond them and leave the answer to the
# one before as if it were this one's.
_FIELDS: dict[str, tuple[str, str]] = {
    "price": ("Price, USD", "of one coin"),
    "24h_volume": ("24h volume, USD", "value traded"),
    "mkt_cap": ("Market cap, USD", "empty: unknown"),
    "1h": ("1h change, %", "in percent: 1.5 is 1.5 %"),
    "24h": ("24h change, %", "in percent: 1.5 is 1.5 %"),
    "7d": ("7d change, %", "in percent: 1.5 is 1.5 %"),
    "liquidity_ratio": ("Liquidity ratio", "volume / market cap; empty: derived"),
    "price_change_24h": ("24h change, USD", "empty: derived from price and change"),
}
_LABELS = {name: label for name, (label, _) in _FIELDS.items()} | {"date": "Date, UTC", "coin": "Coin"}
_ACROSS = 4
_REQUIRED = ("price", "24h_volume")
# Derived again from what is typed: a changed volume with the old ratio would contradict itself.
_DERIVED = ("liquidity_ratio", "price_change_24h")
_BASES = {
    "history": "the row and the coin's stored days",
    "snapshot": "the row alone: there is no stored day in the 3 before it",
}
# As many digits as a float tells, and no more.
_DIGITS = ".12g"


def show(source: Source) -> None:
    if needs_champion(source):
        return
    _, coins = forecasts(source)
    names = coins["coin"].tolist() if len(coins) else []
    noted = "The service notes it like any request." if source.home is None else "Nothing is stored."
    st.caption(f"Change what you like of a row and see what would be forecast of it. {noted}")
    name = st.selectbox(
        "Start from a coin",
        names,
        index=None,
        key="of",
        placeholder="none: the row stands alone",
        help="Fills in its newest row; the forecast then rests on its stored days as well.",
    )
    row = (coin(source, name) or {}).get("snapshot", {}) if name else {}
    body = _form(row, name)
    if body is None:
        return
    absent = [_LABELS[field] for field in _REQUIRED if body.get(field) is None]
    if absent:
        raise UserFacingError("A forecast needs more than that", f"Fill in {' and '.join(absent)}.")
    with st.spinner("Forecasting"):
        said = _predicted(source, {**body, **_derived(body)})
    _answer(said, body, coins)


def _predicted(source: Source, body: dict[str, Any]) -> dict[str, Any]:
    """The answer; a refusal in the form's words, whether a home or a service refuses."""
    try:
        return source.predict(body)
    except UserFacingError as problem:
        if not problem.fields:
            raise
        fields = tuple((_LABELS.get(name, name), fault) for name, fault in problem.fields)
        raise UserFacingError("The row is refused", "", fields) from problem


def _form(row: dict[str, Any], name: str | None) -> dict[str, Any] | None:
    """The row as typed once it is sent off; None until then. Widgets belong to a coin: another fills them anew."""
    body: dict[str, Any] = {}
    with st.form(f"row of {name}", border=True):
        day = dt.date.fromisoformat(row["date"]) if row else dt.datetime.now(dt.UTC).date()
        # Row by row: side by side on a wide screen, in the same order below each other on a narrow one.
        places = [place for _ in range(0, len(_FIELDS) + 1, _ACROSS) for place in st.columns(_ACROSS)]
        for place, (field, (label, meaning)) in zip(places, _FIELDS.items(), strict=False):
            known = None if field in _DERIVED else row.get(field)
            body[field] = place.number_input(
                label,
                value=None if known is None else float(known),
                format=f"%{_DIGITS}",
                step=None,
                help=f"`{field}`: {meaning}",
                placeholder="derived" if field in _DERIVED else "needed" if field in _REQUIRED else "unknown",
                key=f"{field} of {name}",
            )
        date = places[len(_FIELDS)].date_input("Date, UTC", value=day, format="YYYY-MM-DD", key=f"date of {name}")
        sent = st.form_submit_button("Forecast", type="primary")
    if not sent:
        return None
    return {**body, **({"coin": name} if name else {}), "date": date.isoformat()}


def _derived(body: dict[str, Any]) -> dict[str, float]:
    """The derived fields that were left empty, as ingest derives them, where they can be: nothing that nobody typed is refused."""
    price, volume, cap, change = (body[name] for name in ("price", "24h_volume", "mkt_cap", "24h"))
    made = {}
    if volume is not None and volume >= 0 and cap is not None and cap > 0:
        made["liquidity_ratio"] = volume / cap
    if price is not None and price > 0 and change is not None and change > -100:
        made["price_change_24h"] = price - price / (1 + change / 100)
    return {name: value for name, value in made.items() if body[name] is None and PLAUSIBLE_BOUNDS[name].admits(value)}


def _row(body: dict[str, Any]) -> str:
    """A row in a line: the form above may have been changed since it was sent."""
    known = {name: value for name, value in body.items() if name not in ("coin", "date") and value is not None}
    numbers = "; ".join(f"{_LABELS[name]} {value:,{_DIGITS}}" for name, value in known.items())
    return f"{body.get('coin', 'no coin')}, {body['date']}: {numbers}"


def _answer(said: dict[str, Any], body: dict[str, Any], coins: Any) -> None:
    st.caption(f"Answer to the row: {text(_row(body))}.")
    percentile = said.get("percentile")
    figures(
        {
            f"Forecast, {ahead(said['horizon_days'])}": shown(said["liquidity_score"]),
            f"{said['level']:.0%} interval": f"{shown(said['lower'])} to {shown(said['upper'])}",
            "Percentile": shown(percentile, ".1f"),
        },
        helps={"Percentile": "share of the newest forecasts that lie below this one, in percent"},
    )
    basis = _BASES.get(said["basis"], said["basis"]) if "coin" in body else "the row alone: no coin was named"
    st.caption(f"Rests on {text(basis)}. By {text(said['model'])} {text(said['model_version'])}.")
    flags = said["flags"]
    if flags["volatility_floored"]:
        st.warning("Volatility lies below its floor: a peg, or a price that does not move. The score says little then.")
    if flags["out_of_range"]:
        names = ", ".join(_LABELS.get(name, name) for name in flags["out_of_range"])
        st.warning(f"Rarely or never seen in training (outside 0.1 to 99.9 %): {text(names)}.")
    if flags["stale_history"]:
        st.warning("The coin's last stored day lies more than 3 days before that date.")
    if len(coins):
        chart(
            charts.spread(
                coins["liquidity_score"].dropna(),
                title="This forecast among the newest ones",
                mark=said["liquidity_score"],
                band=(said["lower"], said["upper"]),
            ),
            key="among",
        )


page("What if", show)
