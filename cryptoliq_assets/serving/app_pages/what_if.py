"""What if: a forecast of a row that is typed in, on its own or with the history of a coin behind it."""

import datetime as dt
from typing import Any

import streamlit as st

from cryptoliq_assets.serving import charts
from cryptoliq_assets.serving.app_kit import ahead, chart, coin, figures, forecasts, needs_champion, page, shown, text
from cryptoliq_assets.serving.sources import Source
from cryptoliq_assets.serving.telling import Problem

# Contract field → label, least value, what it means.
_FIELDS: dict[str, tuple[str, float | None, str]] = {
    "price": ("Price, USD", 0.0, "of one coin"),
    "24h_volume": ("24h volume, USD", 0.0, "value traded"),
    "mkt_cap": ("Market cap, USD", 0.0, "empty: unknown"),
    "1h": ("1h change, %", -100.0, "in percent: 1.5 is 1.5 %"),
    "24h": ("24h change, %", -100.0, "in percent: 1.5 is 1.5 %"),
    "7d": ("7d change, %", -100.0, "in percent: 1.5 is 1.5 %"),
    "liquidity_ratio": ("Liquidity ratio", 0.0, "volume / market cap; empty: derived"),
    "price_change_24h": ("24h change, USD", None, "empty: derived from price and change"),
}
_ACROSS = 4
_REQUIRED = ("price", "24h_volume")
# Derived again from what is typed: a changed volume with the old ratio would contradict itself.
_DERIVED = ("liquidity_ratio", "price_change_24h")
_BASES = {
    "history": "the row and the coin's stored days",
    "snapshot": "the row alone: there is no stored day in the 3 before it",
}


def show(source: Source) -> None:
    if needs_champion(source):
        return
    _, coins = forecasts(source)
    names = coins["coin"].tolist() if len(coins) else []
    st.caption("Change what you like of a row and see what would be forecast of it. Nothing is stored.")
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
    absent = [_FIELDS[field][0] for field in _REQUIRED if body.get(field) is None]
    if absent:
        raise Problem("A forecast needs more than that", f"Fill in {' and '.join(absent)}.")
    _answer(source.predict(body), coins)


def _form(row: dict[str, Any], name: str | None) -> dict[str, Any] | None:
    """The body of the request once it is sent off; None until then. Widgets belong to a coin: another fills them anew."""
    body: dict[str, Any] = {}
    with st.form(f"row of {name}", border=True):
        day = dt.date.fromisoformat(row["date"]) if row else dt.datetime.now(dt.UTC).date()
        # Row by row: side by side on a wide screen, in the same order below each other on a narrow one.
        places = [place for _ in range(0, len(_FIELDS) + 1, _ACROSS) for place in st.columns(_ACROSS)]
        for place, (field, (label, least, meaning)) in zip(places, _FIELDS.items(), strict=False):
            known = None if field in _DERIVED else row.get(field)
            body[field] = place.number_input(
                label,
                value=None if known is None else float(known),
                min_value=least,
                # As many digits as a float tells, and no more.
                format="%.12g",
                step=None,
                help=f"`{field}`: {meaning}",
                placeholder="derived" if field in _DERIVED else "needed" if field in _REQUIRED else "unknown",
                key=f"{field} of {name}",
            )
        date = places[len(_FIELDS)].date_input("Date, UTC", value=day, format="YYYY-MM-DD", key=f"date of {name}")
        sent = st.form_submit_button("Forecast", type="primary")
    if not sent:
        return None
    return {**_with_derived(body), **({"coin": name} if name else {}), "date": date.isoformat()}


def _with_derived(body: dict[str, Any]) -> dict[str, Any]:
    """The two derived fields as ingest derives them, where they are left empty and can be."""
    price, volume, cap, change = (body[name] for name in ("price", "24h_volume", "mkt_cap", "24h"))
    if body["liquidity_ratio"] is None and volume is not None and cap:
        body["liquidity_ratio"] = volume / cap
    if body["price_change_24h"] is None and price is not None and change is not None and change > -100:
        body["price_change_24h"] = price - price / (1 + change / 100)
    return body


def _answer(said: dict[str, Any], coins: Any) -> None:
    percentile = said.get("percentile")
    figures(
        {
            f"Forecast, {ahead(said['horizon_days'])}": shown(said["liquidity_score"]),
            f"{said['level']:.0%} interval": f"{shown(said['lower'])} to {shown(said['upper'])}",
            "Percentile": "–" if percentile is None else f"{percentile:.0f}",
        },
        helps={"Percentile": "share of the newest forecasts that lie below this one, in percent"},
    )
    basis = _BASES.get(said["basis"], said["basis"])
    st.caption(f"Rests on {text(basis)}. By {text(said['model_version'])}.")
    flags = said["flags"]
    if flags["volatility_floored"]:
        st.warning("Volatility lies below its floor: a peg, or a price that does not move. The score says little then.")
    if flags["out_of_range"]:
        names = ", ".join(_FIELDS[name][0] if name in _FIELDS else name for name in flags["out_of_range"])
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
