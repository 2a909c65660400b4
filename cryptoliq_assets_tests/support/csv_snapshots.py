"""Raw files of a few lines: valid lines, a table of them, its parsing, and a strategy of mutated files."""

import datetime as dt

from hypothesis import strategies as st

from cryptoliq_assets.ingestion.parsing import ParsedSnapshot, parse_snapshot

HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date"
BITCOIN = "Bitcoin,BTC,40000,0.5,-2.5,4,2e10,8e11,2022-03-16"
ETHEREUM = "Ethereum,ETH,2700,0.6,-3.5,5,1e10,3e11,2022-03-16"
TETHER = "Tether,USDT,1.0,0.01,-0.02,0.03,5e10,8e10,2022-03-16"
NAME = "coingecko_20220316.csv"
FIRST, TODAY = dt.date(2013, 1, 1), dt.date(2026, 1, 1)


def parse(content: bytes | str, *, name: str = NAME, **options: object) -> ParsedSnapshot:
    content = content.encode() if isinstance(content, str) else content
    return parse_snapshot(content, name=name, **({"today": TODAY, "first_date": FIRST} | options))


def table(*lines: str, header: str = HEADER, end: str = "\n") -> str:
    return "".join(line + end for line in (header, *lines))


def get_only_rejected(parsed: ParsedSnapshot) -> dict[str, object]:
    assert parsed.rejected_rows.num_rows == 1
    return parsed.rejected_rows.to_pylist()[0]


CELLS = st.one_of(
    st.sampled_from(
        ["", "NaN", "inf", "-1", "1e999", "abc", '"', '""', "2022-03-16", "2022-03-17", "0", " 7 ", "+5", "1."]
    ),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.from_regex(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.text(max_size=6),
)
LINES = st.one_of(
    st.sampled_from([BITCOIN, ETHEREUM, TETHER, "", " "]),
    st.tuples(st.sampled_from([BITCOIN, TETHER]), st.integers(0, 8), CELLS).map(lambda parts: with_cell(*parts)),
    st.text(max_size=20),
)
ENDS = st.sampled_from(["\n", "\r\n", "\r", ""])
HEADERS = st.sampled_from([HEADER, HEADER, HEADER + ",liquidity_ratio", HEADER.replace("7d", "6d"), "date", ""])


def with_cell(line: str, place: int, cell: str) -> str:
    cells = line.split(",")
    cells[place] = cell
    return ",".join(cells)


@st.composite
def mutated_files(draw: st.DrawFn) -> bytes:
    """Generate files of valid and invalid lines, sometimes with a byte in the wrong place."""
    lines = draw(st.lists(LINES, max_size=8))
    text = "".join(line + draw(ENDS) for line in (draw(HEADERS), *lines))
    content = text.encode("utf-8", "surrogatepass")
    if draw(st.booleans()):
        return content
    place = draw(st.integers(0, len(content)))
    return content[:place] + draw(st.binary(max_size=3)) + content[place + draw(st.integers(0, 3)) :]
