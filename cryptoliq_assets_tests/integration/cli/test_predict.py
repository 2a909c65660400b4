"""`cryptoliq predict`: each row of a CSV file gets a forecast or a reason for its rejection."""

import csv
import datetime as dt

import pandas as pd
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.modeling.inference import load_champion
from cryptoliq_assets.serving.csv import output, predict as batch
from cryptoliq_assets.serving.csv.predict import ADDED_COLUMNS, InputRejectedError, predict_file
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.settings import make_settings

HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date"
NEW = "Newcoin,NEW,1.5,0.1,-5,3,100000,1e7,2025-07-31"
TODAY = dt.date(2025, 8, 2)


@pytest.fixture(scope="module")
def settings(trained_home) -> Settings:
    return make_settings(home_dir=trained_home.path)


@pytest.fixture(scope="module")
def champion(settings):
    return load_champion(settings)


@pytest.fixture
def predict(settings, champion, tmp_path):
    def predict(rows: list[str] | bytes, *, header: str = HEADER, **options):
        source, target = tmp_path / "any name.csv", tmp_path / "out.csv"
        source.write_bytes(rows if isinstance(rows, bytes) else "\n".join([header, *rows, ""]).encode())
        outcome = predict_file(source, target, champion=champion, settings=settings, today=TODAY, **options)
        with target.open(encoding="utf-8", newline="") as handle:
            return outcome, list(csv.DictReader(handle))

    return predict


@pytest.fixture(scope="module")
def newest(trained_home) -> bytes:
    """Return the snapshot file of 31 July 2025, which is stored and forecast."""
    return (trained_home.path / "data" / "archive" / "coingecko_20250731.csv").read_bytes()


def test_stored_snapshot_is_forecast_as_the_asset_did(predict, newest, settings, champion):
    outcome, rows = predict(newest)
    stored = TableStore(settings).read("forecasts").astype({"coin": str}).set_index("coin")
    assert outcome.rows == len(rows) == len(newest.splitlines()) - 1
    # The pipeline fills rows with an empty price or volume; predict rejects them.
    forecast = [row for row in rows if not row["reason"]]
    assert len(forecast) >= 25
    for row in forecast:
        if row["basis"] == "history":
            assert float(row["liquidity_score"]) == pytest.approx(stored.loc[row["coin"], "liquidity_score"], abs=1e-9)
            assert float(row["lower"]) == pytest.approx(stored.loc[row["coin"], "lower"], abs=1e-9)
            assert float(row["upper"]) == pytest.approx(stored.loc[row["coin"], "upper"], abs=1e-9)
        assert (row["model"], row["model_version"]) == (champion.model_name, champion.model_version)


def test_declared_unit_is_used_and_an_invalid_one_rejected(predict):
    still = NEW.replace(",0.1,-5,3,", ",,-0.05,0.03,")
    scores = {}
    for unit in ("percent", "fraction"):
        outcome, [row] = predict([f"{still},{unit}"], header=f"{HEADER},change_unit")
        assert (outcome.unit, outcome.doubts, row["change_unit"]) == (unit, [], unit)
        scores[unit] = row["liquidity_score"]
    assert scores["percent"] != scores["fraction"]
    with pytest.raises(InputRejectedError, match="line 2: change_unit is 'permille'; expected percent or fraction"):
        predict([f"{still},permille"], header=f"{HEADER},change_unit")


def test_new_day_is_forecast_with_stored_history(predict, trained_home):
    outcome, rows = predict(trained_home.later_files[0].read_bytes())
    assert {row["date"] for row in rows} == {"2025-08-01"}
    assert outcome.by_basis["history"] >= 25
    assert all(
        float(row["lower"]) < float(row["liquidity_score"]) < float(row["upper"]) for row in rows if not row["reason"]
    )


def test_coin_without_history_has_its_own_interval_width(predict, champion, settings):
    _, (row,) = predict([NEW])
    assert (row["basis"], row["reason"]) == ("snapshot", "")
    half = (float(row["upper"]) - float(row["lower"])) / 2
    table = champion.metadata["intervals"]["half_widths"]
    named = {name: width for name, width in table.items() if name.startswith("without_history:")}
    assert named
    assert any(half == pytest.approx(width) for width in named.values())


def test_input_columns_and_row_order_are_unchanged(predict):
    header = f"note,{HEADER}"
    rows = [
        f'"b, ""quoted""",{NEW}',
        f" a ,{NEW.replace('Newcoin', 'Élan ₿')}",
        "c" + f",{NEW}".replace("Newcoin", "Zed"),
    ]
    _, output_rows = predict(rows, header=header)
    assert list(output_rows[0]) == [*header.split(","), *ADDED_COLUMNS]
    assert [row["note"] for row in output_rows] == ['b, "quoted"', " a ", "c"]
    assert [row["coin"] for row in output_rows] == ["Newcoin", "Élan ₿", "Zed"]
    assert output_rows[0]["mkt_cap"] == "1e7"
    assert output_rows[0]["liquidity_score"] == output_rows[1]["liquidity_score"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("Bad,BAD,-1,0.1,-5,3,1e5,1e7,2025-07-31", "line 3: price is '-1' (negative_value)"),
        ("Bad,BAD,1,0.1,-5,3,lots,1e7,2025-07-31", "line 3: 24h_volume is 'lots' (not_a_number)"),
        (
            "Bad,BAD,1,0.1,-5,3,1e5,1e7,2025-08-04",
            "line 3: date is '2025-08-04' (date_in_future); expected a date no later than 2025-08-03",
        ),
        ("Bad,BAD,1,0.1,-5,3,1e5,1e7,31/07/2025", "line 3: date is '31/07/2025' (bad_date)"),
        (
            "Bad,BAD,1,0.1,-101,3,1e5,1e7,2025-07-31",
            "line 3: 24h is -101.0 percent (out_of_bounds); expected at least -100 percent",
        ),
        (
            "Bad,BAD,1,0.1,-5,3,1e301,1e7,2025-07-31",
            "line 3: 24h_volume is '1e301' (implausible_number); expected a plausible number, 0 or at least 1e-18, and at "
            "most 1e18",
        ),
        (
            f"{'x' * 201},BAD,1,0.1,-5,3,1e5,1e7,2025-07-31",
            "line 3: coin is 201 characters long (out_of_bounds); expected at most 200",
        ),
        ("Bad,BAD,1,2", "line 3: wrong_field_count"),
        ("Bad,BAD,,0.1,-5,3,1e5,1e7,2025-07-31", "line 3: price is empty (incomplete); expected a price above 0"),
        ("Bad,BAD,0,0.1,-5,3,1e5,1e7,2025-07-31", "line 3: price is 0.0 (incomplete); expected a price above 0"),
        ("Bad,BAD,1,0.1,-5,3,,1e7,2025-07-31", "line 3: 24h_volume is empty (incomplete)"),
    ],
)
def test_rejected_row_keeps_its_place_and_has_a_reason(predict, row, reason):
    outcome, rows = predict([NEW, row, NEW.replace("Newcoin", "Third")])
    assert [bool(output_rows["liquidity_score"]) for output_rows in rows] == [True, False, True]
    assert rows[1]["reason"].startswith(reason)
    assert [rows[1][name] for name in ADDED_COLUMNS[:-1]] == [""] * 6
    assert (outcome.rows, sum(outcome.rejected.values()), sum(outcome.by_basis.values())) == (3, 1, 2)


def test_surplus_cells_are_named_in_the_reason(predict):
    wide = NEW + "," * 900
    _, rows = predict([NEW, f'{NEW},"surplus, quoted",{"x" * 200}', f'"a, b"{NEW.removeprefix("Newcoin")},', wide])
    assert [row["date"] for row in rows] == ["2025-07-31"] * 4
    assert [row["coin"] for row in rows] == ["Newcoin", "Newcoin", "a, b", "Newcoin"]
    assert rows[1]["reason"].startswith("line 3: wrong_field_count: ")
    assert rows[1]["reason"].endswith(f"; surplus cells: 'surplus, quoted', '{'x' * 200}'")
    assert rows[2]["reason"].endswith("; surplus cells: ''")
    # Not all of them: the output would be many times the size of the input.
    shown = ", ".join([repr("")] * 20)
    assert rows[3]["reason"].endswith(f"; surplus cells: {shown} and 880 more")
    assert None not in rows[1]


def test_formulas_are_written_as_text_and_numbers_unchanged(predict):
    rows = [
        "=1+1,-X,1.5,0.1,-5,-3,100000,1e7,2025-07-31,-7",
        '"@a,b",＝S,1.5,0.1,-5,3,100000,1e7,2025-07-31,-1+1',
        "-5,+1,1.5,0.1,-5,3,100000,1e7,2025-07-31,+2",
        "Newcoin,NEW,=cmd,0.1,-5,3,100000,1e7,@now,=x",
        "Newcoin,NEW,1.5,0.1,-5,3,100000,1e7,2025-07-31,x",
    ]
    _, out = predict(rows, header=HEADER + ",=extra")
    cells = [(row["coin"], row["symbol"], row["price"], row["24h"], row["date"], row["'=extra"]) for row in out]
    assert cells == [
        ("'=1+1", "'-X", "1.5", "-5", "2025-07-31", "-7"),
        ("'@a,b", "'＝S", "1.5", "-5", "2025-07-31", "'-1+1"),
        ("'-5", "'+1", "1.5", "-5", "2025-07-31", "+2"),
        ("Newcoin", "NEW", "'=cmd", "-5", "'@now", "'=x"),
        ("Newcoin", "NEW", "1.5", "-5", "2025-07-31", "x"),
    ]
    assert [bool(row["liquidity_score"]) for row in out] == [True, True, True, False, True]


def test_each_row_is_forecast_independently(predict):
    alone = [predict([row])[1][0]["liquidity_score"] for row in (NEW.replace("1.5", "1.4"), NEW)]
    _, rows = predict([NEW.replace("1.5", "1.4"), NEW, NEW])
    assert [row["liquidity_score"] for row in rows] == [*alone, alone[1]]


def test_price_and_volume_suffice_and_the_date_is_today(predict):
    _, [row] = predict(["1.5,100000"], header="price,24h_volume")
    assert (row["basis"], row["reason"]) == ("snapshot", "")
    dated = ",,1.5,,,,100000,,2025-08-02"
    _, [empty, undated] = predict([dated, dated.removesuffix("2025-08-02")])
    assert row["liquidity_score"] == empty["liquidity_score"] == undated["liquidity_score"]


def test_unit_inferred_from_few_rows_is_doubtful(predict):
    calm = NEW.replace(",0.1,-5,3,", ",0.01,0.02,0.05,")
    outcome, _ = predict([calm])
    assert outcome.unit == "fraction"
    assert "inferred from only 1 rows" in outcome.doubts[0]
    assert predict([f"{calm},percent"], header=f"{HEADER},change_unit")[0].doubts == []
    assert predict([calm.replace("Newcoin", f"c{place}") for place in range(30)])[0].doubts == []


def test_file_with_only_rejected_rows_is_written(predict):
    outcome, rows = predict([NEW.replace("1.5", "-1"), NEW.replace("1.5", "x")])
    assert [row["reason"].split("(")[1].split(")")[0] for row in rows] == ["negative_value", "not_a_number"]
    assert outcome.by_basis == {}


def test_blank_lines_are_no_rows_but_count_as_lines(predict):
    content = f"{HEADER}\r\n\r\n{NEW}\r\n   \r\n{NEW.replace('1.5', '-2')}\r\n{NEW.replace('Newcoin', 'Last')}".encode()
    outcome, rows = predict(content)
    assert outcome.rows == 3
    assert [row["coin"] for row in rows if row["reason"]] == ["Newcoin"]
    assert rows[1]["reason"].startswith("line 5: ")
    assert rows[2]["liquidity_score"]


def test_fractions_are_read_as_fractions(predict, newest):
    frame = pd.read_csv(pd.io.common.BytesIO(newest))
    percent, rows = predict(newest)
    frame[["1h", "24h", "7d"]] /= 100.0
    fraction, same = predict(frame.to_csv(index=False).encode())
    assert (percent.unit, fraction.unit) == ("percent", "fraction")
    for one, other in zip(rows, same, strict=True):
        if one["liquidity_score"]:
            assert float(one["liquidity_score"]) == pytest.approx(float(other["liquidity_score"]), abs=1e-6)


@pytest.mark.parametrize("size", [1, 7])
def test_chunk_size_does_not_change_the_file(predict, newest, monkeypatch, size):
    _, expected = predict(newest)
    monkeypatch.setattr(batch, "CHUNK", size)
    monkeypatch.setattr(output, "_CHUNK_ROWS", size)
    progress: list[tuple[int, int]] = []
    _, parts = predict(newest, progress=lambda done, of: progress.append((done, of)))
    assert parts == expected
    assert progress[0][0] == 0
    assert progress[-1][0] == progress[-1][1] == sum(bool(row["liquidity_score"]) for row in expected)
    assert len(progress) == 1 + -(-progress[-1][1] // size)


def test_row_order_does_not_change_any_forecast(predict, newest, trained_home):
    header, *rows = newest.decode().splitlines()
    # Two days of each coin, which are computed in one batch.
    rows += trained_home.later_files[0].read_text(encoding="utf-8").splitlines()[1:]
    outcome, output_rows = predict(rows, header=header)
    _, turned = predict(rows[::-1], header=header)
    assert outcome.by_basis["history"] > 50
    numbers = ("coin", "date", "liquidity_score", "lower", "upper", "basis")
    assert [[row[name] for name in numbers] for row in output_rows] == [
        [row[name] for name in numbers] for row in turned[::-1]
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"coin,price\nBitcoin,1\n", "missing columns: 24h_volume; the header has"),
        (b"price;24h_volume\n1;2\n", r"missing columns: .*the delimiter seems to be a semicolon"),
        (b"\x00\x01\x02", "the file is not text"),
        (f"{HEADER}\n".encode(), "no rows"),
        (f"{HEADER},lower,reason\n{NEW},1,2\n".encode(), "columns lower, reason have names of added columns"),
    ],
)
def test_unreadable_file_is_rejected_and_writes_nothing(predict, tmp_path, content, reason):
    with pytest.raises(InputRejectedError, match=reason):
        predict(content)
    assert not (tmp_path / "out.csv").exists()


def test_file_above_the_size_limit_is_rejected_unread(settings, champion, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text(f"{HEADER}\n{NEW}\n")
    small = settings.with_values(ingestion={"max_file_mib": 0.00001})
    with pytest.raises(InputRejectedError, match="CRYPTOLIQ_INGESTION__MAX_FILE_MIB"):
        predict_file(source, tmp_path / "out.csv", champion=champion, settings=small, today=TODAY)
