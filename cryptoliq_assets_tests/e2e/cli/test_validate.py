"""cryptoliq validate: dry runs of valid, invalid and dirty files."""

import json
import shutil
from pathlib import Path

import pytest

from cryptoliq_assets_tests.support.command_line import HEADER, VALID_ROWS, write_csv

DIRTY = {
    "coingecko_history_hybrix.csv": "the file name",
    "coingecko_history_x8-project.csv": "the file name",
    "coinmarketcap_export_0x.csv": "the file name",
    "prices_dmy_dates.csv": "the file name",
    "prices_mdy_dates.csv": "the file name",
}


def test_valid_file_is_accepted_with_unit_and_derived_columns(run, tmp_path):
    result = run("validate", write_csv(tmp_path / "coingecko_20250731.csv", VALID_ROWS), home=tmp_path / "home")
    assert result.code == 0
    assert "coingecko_20250731.csv: accepted" in result.text
    assert "2 of 2 rows accepted, 2025-07-31 to 2025-07-31" in result.text
    assert "unit of changes: percent" in result.text
    assert "derived: liquidity_ratio, price_change_24h" in result.text
    assert not (tmp_path / "home").exists()


def test_rejected_row_exits_with_1_and_names_line_and_value(run, tmp_path):
    rows = [*VALID_ROWS, "Dai,DAI,one,0.1,0.1,0.1,1e9,5e9,2025-07-31"]
    result = run("validate", write_csv(tmp_path / "coingecko_20250731.csv", rows), home=tmp_path)
    assert result.code == 1
    assert "2 of 3 rows accepted" in result.text
    assert "line 4: price is 'one' (not_a_number); expected a plain number" in result.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("coingecko_20250731.csv", b"", "the file is empty (0 bytes)"),
        ("coingecko_20250731.csv", b"\x89PNG\r\n\x1a\n\x00\x00", "the file is a PNG image, not CSV"),
        ("coingecko_20250731.csv", "coin,symbol\nBitcoin,BTC\n".encode("utf-16"), "the byte order mark of UTF-16"),
        ("coingecko_20250731.csv", b"coin,symbol,price\nBitcoin,BTC,1\n", "missing columns: 1h, 24h, 7d, 24h_volume"),
        (
            "today.csv",
            (HEADER + "\n" + VALID_ROWS[0] + "\n").encode(),
            "the file name 'today.csv' does not match coingecko_YYYYMMDD.csv",
        ),
    ],
)
def test_file_that_is_no_snapshot_is_rejected_with_a_reason(run, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    result = run("validate", tmp_path / name, home=tmp_path)
    assert result.code == 1
    assert f"{name}: rejected" in result.text
    assert message in result.text


@pytest.mark.parametrize(
    ("make", "message"), [(None, "No such file or directory"), ("mkdir", "a folder, not a regular")]
)
def test_missing_file_and_folder_are_rejected(run, tmp_path, make, message):
    path = tmp_path / "coingecko_20250731.csv"
    if make:
        path.mkdir()
    result = run("validate", path, home=tmp_path)
    assert result.code == 1
    assert message in result.text


def test_one_rejected_file_of_several_exits_with_1(run, tmp_path):
    paths = [write_csv(tmp_path / f"coingecko_202507{day}.csv", VALID_ROWS) for day in (30, 31)]
    bad = write_csv(tmp_path / "coingecko_20250729.csv", [], header="what,is,this")
    result = run("validate", *paths, bad, home=tmp_path)
    assert result.code == 1
    assert (result.text.count(": accepted"), result.text.count(": rejected")) == (2, 1)


def test_json_report_has_all_keys_and_consistent_counts(run, tmp_path):
    rows = [*VALID_ROWS, "Dai,DAI,-1,0.1,0.1,0.1,1e9,5e9,2025-07-31"]
    result = run("validate", "--json", write_csv(tmp_path / "coingecko_20250731.csv", rows), home=tmp_path)
    (report,) = json.loads(result.out)
    assert {"file", "rows", "min_date", "max_date", "issues"} <= set(report)
    assert report["rows_read"] == report["rows_kept"] + sum(report["rows_refused"].values()) == 3
    assert report["rows_refused"] == {"negative_value": 1}


@pytest.mark.realdata
@pytest.mark.parametrize("name", sorted(DIRTY))
def test_real_dirty_file_is_rejected_under_either_name(run, tmp_path, real_data, name):
    result = run("validate", real_data / "dirty" / name, home=tmp_path)
    assert result.code == 1
    assert DIRTY[name] in result.text
    renamed = Path(shutil.copy(real_data / "dirty" / name, tmp_path / "coingecko_20210101.csv"))
    result = run("validate", renamed, home=tmp_path)
    assert result.code == 1
    assert "coingecko_20210101.csv: rejected missing columns: " in result.text


@pytest.mark.realdata
def test_real_file_in_fractions_is_accepted(run, tmp_path, real_data):
    result = run("validate", real_data / "coingecko_2022" / "coin_gecko_2022-03-16.csv", home=tmp_path)
    assert result.code == 0
    assert "500 of 500 rows accepted" in result.text
    assert "unit of changes: fraction" in result.text


def test_markup_in_a_file_is_printed_as_text(run, tmp_path):
    path = write_csv(tmp_path / "coingecko_20250731.csv", ["x,y,[/b],1"], header="coin,symbol,[/b],[red]1h")
    result = run("validate", path, home=tmp_path / "home")
    assert result.code == 1
    assert "'[/b]'" in result.text
    assert "'[red]1h'" in result.text
