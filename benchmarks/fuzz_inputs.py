"""Inputs of fuzz_service.py: a valid body and a valid CSV, and values, paths and headers to mutate requests with."""

BODY = {
    "price": 100.0,
    "1h": 0.1,
    "24h": -1.5,
    "7d": 3.0,
    "24h_volume": 2e9,
    "mkt_cap": 1e11,
    "liquidity_ratio": 0.02,
    "price_change_24h": -1.5,
    "coin": "Bitcoin",
}
CSV = (
    "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\nBitcoin,BTC,61250.5,0.12,-1.8,4.6,2.48e10,1.2e12,2025-07-31\n"
)
# Valid and invalid JSON values.
WORDS = [
    "NaN",
    "Infinity",
    "-1",
    "1e999",
    "1e308",
    "-0.0",
    "null",
    "true",
    '""',
    '"x"',
    "[]",
    "{}",
    '"\\ud800"',
    '"\\u0000"',
]
WORDS += ["1" * 400, '"' + "é" * 300 + '"', "1e-400", '"2025-02-30"', '"9999-12-31"', '"0001-01-01"', "0x1", "'a'", ""]
PATHS = ["/predict", "/predict/batch", "/forecasts", "/forecasts/Bitcoin", "/model", "/healthz", "/readyz", "/metrics"]
ODD_PATHS = [
    "%00",
    "%ff%fe",
    "%2e%2e%2f",
    "..",
    "//",
    "%",
    "%zz",
    "?",
    "?sort=-",
    "?limit=1e9",
    "?offset=-1",
    "?days=999999999999",
    "#",
]
ODD_PATHS += [
    "?limit=%00",
    "é",
    "%F0%9F%9A%80",
    "x" * 4000,
    "?search=" + "%25" * 100,
    "?sort=coin&sort=price",
    ";a=b",
    "\\",
    "?days=NaN",
]
HEADERS = {
    "Content-Type": [
        "application/json",
        "text/csv",
        "text/plain",
        "",
        "application/json; charset=utf-16",
        "\xff",
        "a" * 5000,
    ],
    "Content-Length": ["-1", "x", "0", "99999999999999999999", "1e3", "\xb2"],
    "Authorization": ["Bearer", "Bearer \xff", "Basic ::::", "x" * 7000],
    "Transfer-Encoding": ["chunked", "gzip", "identity, chunked"],
    "X-Forwarded-For": ["127.0.0.1", "\xff", "a, b, c"],
    "Accept": ["nothing/at-all"],
    "Expect": ["100-continue", "1"],
    "Upgrade": ["websocket", "h2c"],
}
