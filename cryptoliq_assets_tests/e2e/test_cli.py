"""The command line: what each command prints, leaves behind and exits with; wrong usage is told in words."""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from cryptoliq_assets.cli import main
from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.monitoring.alerting.dispatch import update_incidents
from cryptoliq_assets.monitoring.findings import ALERT_KINDS, WARN, Finding
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.schemas.tables import DERIVED_TABLES
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.receivers import receiver
from cryptoliq_assets_tests.support.settings import make_settings

COMMANDS = list(main._COMMANDS)
HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date"
GOOD = [
    "Bitcoin,BTC,40000,0.5,-3.2,5.1,2e10,8e11,2025-07-31",
    "Ether,ETH,2500,0.4,-4.1,6.6,1e10,3e11,2025-07-31",
]
DIRTY = {
    "coingecko_history_hybrix.csv": "the name",
    "coingecko_history_x8-project.csv": "the name",
    "coinmarketcap_export_0x.csv": "the name",
    "prices_dmy_dates.csv": "the name",
    "prices_mdy_dates.csv": "the name",
}


# Commands that a person calls after `cryptoliq setup`.
ON_A_HOME = {"ingest", "preprocess", "train", "forecast", "export", "status", "monitor", "alerts"}


class Ran:
    """What a command did: exit code, and all that it said, on one line."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        self.said = " ".join((out + err).split())


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run the entry point in this process, on a home that was set up where its folder exists."""

    def run(*words: str | Path, home: Path) -> Ran:
        if home.is_dir() and words and words[0] in ON_A_HOME and "--help" not in words:
            prepare_home(make_settings(home_dir=home))
        monkeypatch.setattr(sys, "argv", ["cryptoliq", "--home", str(home), *map(str, words)])
        capsys.readouterr()
        try:
            main.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


@pytest.fixture(scope="module")
def read_only(trained_home) -> Path:
    """The trained home, for commands that only read."""
    return trained_home.path


def process(*words: str, **environment: str) -> Ran:
    """Run the console script in a process of its own."""
    script = Path(sys.executable).with_name("cryptoliq")
    done = subprocess.run(
        [script, *words], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def write(path: Path, rows: list[str], *, header: str = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def files_below(folder: Path) -> dict[str, tuple[int, int]]:
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("catalogue.sqlite-")]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


# Help and wrong usage.


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_that_says_what_it_does(run, tmp_path, name):
    told = run(name, "--help", home=tmp_path)
    assert told.code == 0
    assert f"Usage: cryptoliq {name}" in told.out
    assert len(told.out.splitlines()[2].strip()) > 20
    assert not list(tmp_path.iterdir())


def test_the_help_of_all_names_every_command_and_imports_no_dagster():
    code = "import sys; sys.argv=['cryptoliq', '--version']\nfrom cryptoliq_assets.cli.main import cli\n"
    code += "try: cli()\nexcept SystemExit: print([m for m in ('dagster', 'pandas', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    told = process("--help")
    assert told.code == 0
    assert all(f"\n  {name} " in told.out for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing command"),
        (("materialise",), "No such command 'materialise'"),
        (("status", "--jsonn"), "No such option '--jsonn'"),
        (("validate",), "Missing argument 'FILES...'"),
        (("simulate", "--coins", "0"), "0 is not in the range 1<=x<=40000"),
        (("simulate", "--days", "many"), "'many' is not a valid integer"),
        (("simulate", "--seed", "-1"), "-1 is not in the range x>=0"),
        (("simulate", "--end", "2025-02-30"), "'2025-02-30' does not match the format '%Y-%m-%d'"),
        (("simulate", "--end", "0001-01-01"), "0001-01-01 is not a day from 1970-01-01 to 2200-12-31"),
        (("ui", "--port", "99999"), "99999 is not in the range 1<=x<=65535"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(run, tmp_path, words, said):
    told = run(*words, home=tmp_path / "none")
    assert told.code == 2
    assert said in told.said
    assert "Traceback" not in told.said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("month", ["2025-7", "2025-13", "2025-00", "0000-01", "july", "2025-07-01", "", "２０２５-07"])
@pytest.mark.parametrize("command", ["materialize", "preprocess", "export"])
def test_what_is_not_a_month_is_refused(run, tmp_path, command, month):
    told = run(command, "--from", month, home=tmp_path)
    assert told.code == 2
    assert f"Invalid value for '--from': {month!r} is not a month like 2025-07" in told.said


@pytest.mark.parametrize("command", ["materialize", "preprocess", "export"])
def test_a_range_that_ends_before_it_starts_is_refused_in_a_full_and_in_an_empty_home(
    run, tmp_path, read_only, command
):
    for home in (tmp_path, read_only):
        told = run(command, "--from", "2025-07", "--to", "2025-06", home=home)
        assert told.code == 2
        assert "--from 2025-07 lies after --to 2025-06" in told.said


@pytest.mark.parametrize("command", ["materialize", "preprocess"])
@pytest.mark.parametrize(("flag", "month"), [("--from", "2012-12"), ("--to", "2199-01")])
def test_a_month_outside_the_partitions_is_refused_in_a_full_and_in_an_empty_home(
    run, tmp_path, trained_home, command, flag, month
):
    (tmp_path / "empty").mkdir()
    for home in (tmp_path / "empty", trained_home.copy_to(tmp_path / "full")):
        told = run(command, flag, month, home=home)
        assert told.code == 2
        assert f"{month} is not a month between 2013-01 and 20" in told.said


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HORIZON_DAYS", "99", "CRYPTOLIQ_HORIZON_DAYS is '99': Input should be less than or equal to 28"),
        (
            "FORMULA",
            "kyle",
            "CRYPTOLIQ_FORMULA is 'kyle': no liquidity formula is named 'kyle'; there are amihud, kyle_o",
        ),
        (
            "FIRST_MONTH",
            "2199-01",
            "CRYPTOLIQ_STORAGE__FIRST_MONTH is '2199-01': the first month lies after the present one",
        ),
        (
            "CHANGE_UNIT",
            "permille",
            "CRYPTOLIQ_INGESTION__CHANGE_UNIT is 'permille': Input should be 'auto', 'percent' or 'fract",
        ),
    ],
)
@pytest.mark.parametrize("command", ["status", "materialize"])
def test_a_wrong_setting_is_told_by_its_variable_value_and_what_was_expected(tmp_path, command, variable, value, said):
    told = process(command, CRYPTOLIQ_HOME=str(tmp_path), **{f"CRYPTOLIQ_{variable}": value})
    assert told.code == 2
    assert said in told.said
    assert "Traceback" not in told.said
    assert "pydantic" not in told.said


def test_a_home_that_is_a_file_is_refused(run, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    told = run("status", home=tmp_path / "file")
    assert told.code == 2
    assert "is a file" in told.said


def test_a_home_that_cannot_be_made_is_one_line_and_exit_1(run, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    told = run("setup", home=tmp_path / "file" / "home")
    assert told.code == 1
    assert told.said.startswith("error: ")
    assert str(tmp_path / "file") in told.said


def test_a_catalog_that_is_no_database_is_one_line_and_exit_1(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    (home / "data" / "catalogue.sqlite").write_bytes(b"not a database, nor will it ever be one" * 40)
    told = run("status", home=home)
    assert told.code == 1
    assert told.said.startswith(f"error: {home}/data/catalogue.sqlite is damaged: file is not a database; ")


# An empty home.


@pytest.mark.parametrize("command", ["ingest", "materialize"])
def test_an_empty_home_has_nothing_to_take_in(run, tmp_path, command):
    told = run(command, home=tmp_path)
    assert told.code == 0
    assert f"nothing new in {tmp_path}/data/raw" in told.said


def test_forecast_without_a_champion_says_what_to_do(run, tmp_path):
    told = run("forecast", home=tmp_path)
    assert told.code == 1
    assert "there is no champion yet: `cryptoliq train` makes one" in told.said


def test_train_without_labels_is_refused_in_one_sentence_before_anything_runs(run, tmp_path):
    told = run("train", home=tmp_path)
    assert told.code == 1
    assert told.err.startswith(
        "error: nothing can be trained yet: no day has a label, which is a valid row followed by"
    )
    assert told.err.count("\n") == 1
    assert "training" not in told.out
    assert "Dependencies" not in told.said


def test_export_without_features_says_what_to_do(run, tmp_path):
    told = run("export", home=tmp_path)
    assert told.code == 1
    assert "run `cryptoliq materialize` first" in told.said


def test_status_of_an_empty_home_leaves_it_empty_and_says_where_files_go(run, tmp_path):
    prepare_home(make_settings(home_dir=tmp_path))
    before = files_below(tmp_path)
    told = run("status", home=tmp_path)
    assert told.code == 0
    assert f"drop snapshot files into {tmp_path}/data/raw" in told.said
    assert files_below(tmp_path) == before


def test_setup_makes_the_home_once(run, tmp_path):
    assert f"made {tmp_path}/data/raw" in run("setup", home=tmp_path).said
    assert (tmp_path / ".dagster" / "dagster.yaml").exists()
    again = run("setup", home=tmp_path)
    assert again.said == f"home {tmp_path} is ready; drop files into {tmp_path}/data/raw"
    assert run("setup", "--quiet", home=tmp_path).said == ""


# validate.


def test_a_good_file_is_accepted_with_its_unit_and_derived_columns(run, tmp_path):
    told = run("validate", write(tmp_path / "coingecko_20250731.csv", GOOD), home=tmp_path / "home")
    assert told.code == 0
    assert "coingecko_20250731.csv: accepted" in told.said
    assert "2 of 2 rows kept, 2025-07-31 to 2025-07-31" in told.said
    assert "changes are percent" in told.said
    assert "derived: liquidity_ratio, price_change_24h" in told.said
    assert not (tmp_path / "home").exists()


def test_a_file_with_one_bad_row_is_accepted_but_exits_with_1_naming_line_column_and_value(run, tmp_path):
    rows = [*GOOD, "Dai,DAI,one,0.1,0.1,0.1,1e9,5e9,2025-07-31"]
    told = run("validate", write(tmp_path / "coingecko_20250731.csv", rows), home=tmp_path)
    assert told.code == 1
    assert "2 of 3 rows kept" in told.said
    assert "line 4: price is 'one' (not_a_number); expected a plain number" in told.said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("coingecko_20250731.csv", b"", "the file is empty (0 bytes)"),
        ("coingecko_20250731.csv", b"\x89PNG\r\n\x1a\n\x00\x00", "the file is a PNG image, not CSV"),
        ("coingecko_20250731.csv", "coin,symbol\nBitcoin,BTC\n".encode("utf-16"), "the byte order mark of UTF-16"),
        ("coingecko_20250731.csv", b"coin,symbol,price\nBitcoin,BTC,1\n", "missing columns: 1h, 24h, 7d, 24h_volume"),
        (
            "today.csv",
            (HEADER + "\n" + GOOD[0] + "\n").encode(),
            "the file name 'today.csv' does not match coingecko_YYYYMMDD.csv",
        ),
    ],
)
def test_a_file_that_is_no_snapshot_is_refused_with_the_reason(run, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    told = run("validate", tmp_path / name, home=tmp_path)
    assert told.code == 1
    assert f"{name}: refused" in told.said
    assert said in told.said


@pytest.mark.parametrize(("make", "said"), [(None, "No such file or directory"), ("mkdir", "a folder, not a regular")])
def test_a_missing_file_and_a_folder_are_refused(run, tmp_path, make, said):
    path = tmp_path / "coingecko_20250731.csv"
    if make:
        path.mkdir()
    told = run("validate", path, home=tmp_path)
    assert told.code == 1
    assert said in told.said


def test_one_bad_file_among_good_ones_is_enough_for_1_and_all_are_told(run, tmp_path):
    paths = [write(tmp_path / f"coingecko_202507{day}.csv", GOOD) for day in (30, 31)]
    bad = write(tmp_path / "coingecko_20250729.csv", [], header="what,is,this")
    told = run("validate", *paths, bad, home=tmp_path)
    assert told.code == 1
    assert (told.said.count(": accepted"), told.said.count(": refused")) == (2, 1)


def test_reports_as_json_have_the_seed_form_and_add_up(run, tmp_path):
    rows = [*GOOD, "Dai,DAI,-1,0.1,0.1,0.1,1e9,5e9,2025-07-31"]
    told = run("validate", "--json", write(tmp_path / "coingecko_20250731.csv", rows), home=tmp_path)
    (report,) = json.loads(told.out)
    assert {"file", "rows", "min_date", "max_date", "issues"} <= set(report)
    assert report["rows_read"] == report["rows_kept"] + sum(report["rows_refused"].values()) == 3
    assert report["rows_refused"] == {"negative_value": 1}


@pytest.mark.realdata
@pytest.mark.parametrize("name", sorted(DIRTY))
def test_each_dirty_file_of_the_world_is_refused_under_its_own_name_and_under_a_snapshots(
    run, tmp_path, real_data, name
):
    told = run("validate", real_data / "dirty" / name, home=tmp_path)
    assert told.code == 1
    assert DIRTY[name] in told.said
    renamed = Path(shutil.copy(real_data / "dirty" / name, tmp_path / "coingecko_20210101.csv"))
    told = run("validate", renamed, home=tmp_path)
    assert told.code == 1
    assert "coingecko_20210101.csv: refused missing columns: " in told.said


@pytest.mark.realdata
def test_a_real_file_in_fractions_is_accepted(run, tmp_path, real_data):
    told = run("validate", real_data / "coingecko_2022" / "coin_gecko_2022-03-16.csv", home=tmp_path)
    assert told.code == 0
    assert "500 of 500 rows kept" in told.said
    assert "changes are fraction" in told.said


# A home with a market in it.


def test_simulate_writes_a_file_a_day_and_the_same_seed_the_same_files(run, tmp_path):
    for folder in ("one", "two"):
        told = run(
            "simulate", "--coins", 5, "--days", 4, "--end", "2025-07-31", "--out", tmp_path / folder, home=tmp_path
        )
        assert told.code == 0
        assert told.said.startswith("4 files, 20 rows, in ")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == [f"coingecko_202507{day}.csv" for day in (28, 29, 30, 31)]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


def test_materialize_has_made_every_stage(read_only):
    store = TableStore(make_settings(home_dir=read_only))
    for table in DERIVED_TABLES:
        assert store.months(table) == ["2025-05", "2025-06", "2025-07"]
    forecasts = store.read("forecasts")
    assert set(forecasts["date"]) == {pd.Timestamp("2025-07-31")}
    assert set(forecasts["target_date"]) == {pd.Timestamp("2025-08-01")}
    assert len(forecasts) == len(pd.read_csv(read_only / "data" / "raw" / "coingecko_20250731.csv"))
    assert (read_only / "models" / "current.pkl").exists()
    assert json.loads((read_only / "models" / "metadata.json").read_text())["evaluation"] == "over_time"


def test_materialize_again_finds_nothing_new_and_changes_no_file(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    # Copies have times of change of their own: the first look notes them.
    assert Runner(make_settings(home_dir=home)).register_files() == 0
    before = files_below(home / "data") | files_below(home / "models")
    told = run("materialize", home=home)
    assert told.code == 0
    assert f"nothing new in {home}/data/raw, and every month is up to date" in told.said
    assert "30 forecasts for 2025-08-01" in told.said
    assert files_below(home / "data") | files_below(home / "models") == before


def test_materialize_takes_a_new_day_in_and_forecasts_it_and_a_refused_file_costs_exit_1(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    shutil.copy(trained_home.later_files[0], home / "data" / "raw")
    write(home / "data" / "raw" / "coingecko_20250802.csv", [], header="what,is,this")
    told = run("materialize", home=home)
    assert told.code == 1
    assert "refused coingecko_20250802.csv: missing columns: coin" in told.said
    assert (home / "data" / "quarantine" / "coingecko_20250802.csv").exists()
    newest = TableStore(make_settings(home_dir=home)).read("forecasts")["date"].max()
    assert newest == pd.Timestamp("2025-08-01")
    assert "forecasts for 2025-08-02 by" in told.said


def test_materialize_of_given_months_makes_them_again_with_the_same_content(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    store = TableStore(make_settings(home_dir=home))
    before = store.read("engineered_features")
    told = run("materialize", "--from", "2025-06", "--to", "2025-06", home=home)
    assert told.code == 0
    assert "1 month(s) from 2025-06 to 2025-06 refreshed" in told.said
    pd.testing.assert_frame_equal(store.read("engineered_features"), before)


def test_ingest_takes_files_in_and_leaves_the_rest_to_preprocess(run, tmp_path):
    write(tmp_path / "data" / "raw" / "coingecko_20250731.csv", GOOD)
    told = run("ingest", home=tmp_path)
    store = TableStore(make_settings(home_dir=tmp_path))
    assert (told.code, "1 file(s) read" in told.said) == (0, True)
    assert len(store.read("raw_snapshots")) == 2
    assert store.months("labels") == []
    assert "1 month(s) are older than what they are made from" in run("status", home=tmp_path).said
    told = run("preprocess", home=tmp_path)
    assert told.said.endswith("1 month(s) from 2025-07 to 2025-07 preprocessed")
    assert len(store.read("labels")) == 2
    assert "nothing new" in run("ingest", home=tmp_path).said


def test_ingest_finishes_what_a_killed_one_left_and_status_does_not_ask_for_files_that_are_there(
    run, tmp_path, monkeypatch
):
    write(tmp_path / "data" / "raw" / "coingecko_20250731.csv", GOOD)
    with monkeypatch.context() as patch:
        # As if killed between the catalog and the month.
        patch.setattr(TableStore, "write", lambda *args, **options: 1 / 0)
        assert run("ingest", home=tmp_path).code == 1
    store = TableStore(make_settings(home_dir=tmp_path))
    assert store.months("raw_snapshots") == []
    told = run("status", home=tmp_path)
    assert "drop snapshot files" not in told.said
    assert "`cryptoliq materialize`" in told.said
    told = run("ingest", home=tmp_path)
    assert (told.code, "1 month(s) from 2025-07 to 2025-07 brought up to" in told.said) == (0, True)
    assert len(store.read("raw_snapshots")) == 2
    assert "nothing new" in run("ingest", home=tmp_path).said


def test_a_home_of_which_every_file_was_refused_is_asked_for_files(run, tmp_path):
    write(tmp_path / "data" / "raw" / "prices.csv", GOOD)
    assert "drop snapshot files" not in run("status", home=tmp_path).said
    assert "reports lie in" in run("ingest", home=tmp_path).said
    assert "drop snapshot files" in run("status", home=tmp_path).said


def test_a_file_that_went_away_is_told_without_a_report_that_it_does_not_have(run, tmp_path, monkeypatch):
    path = write(tmp_path / "data" / "raw" / "coingecko_20250731.csv", GOOD)
    monkeypatch.setattr("cryptoliq_assets.cli.commands.pipeline.Runner.refresh", gone_before(path))
    told = run("ingest", home=tmp_path)
    assert told.code == 1
    assert "refused coingecko_20250731.csv: changed or gone before it could be read" in told.said
    assert "reports lie in" not in told.said


def gone_before(path: Path):
    """`Runner.refresh` that finds a file gone."""
    refresh = Runner.refresh

    def late(*args, **options) -> None:
        path.unlink()
        refresh(*args, **options)

    return late


def test_the_module_runs_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "cryptoliq_assets.cli.main", "--version"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.startswith("cryptoliq, version ")) == (0, True)


def test_a_refused_file_costs_ingest_exit_1(run, tmp_path):
    write(tmp_path / "data" / "raw" / "coingecko_20250731.csv", GOOD)
    write(tmp_path / "data" / "raw" / "prices.csv", GOOD)
    (tmp_path / "data" / "raw" / "coingecko_20250730.csv").mkdir()
    told = run("ingest", home=tmp_path)
    assert told.code == 1
    assert "refused prices.csv: the file name 'prices.csv' does not match coingecko_YYYYMMDD.csv" in told.said
    assert "refused coingecko_20250730.csv: a folder, not a regular file" in told.said
    assert len(TableStore(make_settings(home_dir=tmp_path)).read("raw_snapshots")) == 2


def test_the_export_equals_the_table(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    told = run("export", home=home)
    path = home / "data" / "processed" / "engineered_features.csv"
    assert told.said.endswith(f"2025-05 to 2025-07: {path}")
    table = TableStore(make_settings(home_dir=home)).read("engineered_features").astype({"coin": str, "symbol": str})
    exported = pd.read_csv(
        path, parse_dates=["date"], keep_default_na=False, na_values=[""], float_precision="round_trip"
    ).sort_values(["coin", "date"], ignore_index=True)
    table = table.sort_values(["coin", "date"], ignore_index=True)
    pd.testing.assert_frame_equal(exported[table.columns], table, check_exact=True, check_dtype=False)


def test_the_export_of_a_month_has_that_month(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    assert run("export", "--from", "2025-06", "--to", "2025-06", home=home).code == 0
    exported = pd.read_csv(home / "data" / "processed" / "engineered_features.csv")
    assert (exported["date"].min(), exported["date"].max()) == ("2025-06-01", "2025-06-30")
    assert run("export", "--from", "2025-09", home=home).code == 1


def test_status_says_what_there_is(run, read_only):
    told = run("status", home=read_only)
    # Its newest snapshot is of 2025.
    assert told.code == 1
    assert "newest snapshot 2025-07-31" in told.said
    assert "files accepted 90, superseded 0, refused 0" in told.said
    assert "labels 3" in told.said
    assert "FAIL Data is stale: raw_snapshots: the newest snapshot is of 2025-07-31" in told.said
    assert ALERT_KINDS["data_stale"].remedy in told.said


def test_status_of_a_home_with_one_day_says_how_many_more_a_champion_takes(run, tmp_path):
    home = tmp_path / "home"
    assert run("simulate", "--coins", "5", "--days", "1", "--end", "2025-07-31", home=home).code == 0
    assert run("materialize", home=home).code == 0
    said = run("status", home=home).said
    assert "all is up to date" not in said
    assert (
        "no champion yet: no day has a label, which is a valid row followed by one 1 day(s) later: a provisional champion needs "
        "at least 1 more day(s) of snapshots, one evaluated over time at least 40"
    ) in said


def test_status_as_json_is_the_same_state(run, read_only):
    state = json.loads(run("status", "--json", home=read_only).out)
    assert state["home"] == str(read_only)
    assert state["files"] == {"accepted": 90, "superseded": 0, "refused": 0}
    assert state["months"] == dict.fromkeys(DERIVED_TABLES, 3)
    assert state["champion"]["evaluation"] == "over_time"
    assert state["champion"]["known until"] == "2025-07-31"
    assert state["came_true"] is None
    assert state["to_do"] == []
    assert (state["level"], state["drift"], state["stale_coins"], state["last_alerts"]) == ("fail", None, [], [])
    assert [finding["kind"] for finding in state["not_well"] if finding["level"] == "fail"] == ["data_stale"]


def test_status_of_a_home_with_warnings_alone_is_exit_0_and_reads_only(run, trained_home, tmp_path, monkeypatch):
    warned = Finding("feature_drift", WARN, "price_log", "PSI 0.3")
    monkeypatch.setattr("cryptoliq_assets.cli.commands.status.collect_findings", lambda *told, **said: [warned])
    home = trained_home.copy_to(tmp_path / "home")
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    told = run("status", home=home)
    assert told.code == 0
    assert "WARN Features drifted: price_log: PSI 0.3" in told.said
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_status_shows_stale_coins_drift_and_the_last_alerts(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    settings = make_settings(home_dir=home)
    write_json(settings.reports_dir / "forecasts.json", {"stale": [{"coin": "Ethereum", "last_seen": "2025-07-19"}]})
    drifted = Finding("feature_drift", WARN, "price_log", "PSI 0.3")
    write_json(settings.reports_dir / "drift_report.json", {"conditions": [drifted.to_dict()]})
    update_incidents(settings, [drifted], dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC))
    said = run("status", home=home).said
    assert "stale coins 1: Ethereum" in said
    assert "drift warn: Features drifted: price_log" in said
    assert "open incidents 1: feature_drift/price_log" in said
    assert "alert 2026-01-05T12:00 opened: Features drifted: price_log" in said
    assert "WARN Features drifted: price_log: PSI 0.3" in said


# monitor and alerts.


def test_monitor_shows_what_is_not_well_raises_alarms_and_exits_with_1(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    told = run("monitor", home=home)
    assert told.code == 1
    assert "FAIL Data is stale: raw_snapshots" in told.said
    listed = run("alerts", "list", home=home)
    assert listed.code == 0
    assert "FAIL Data is stale: raw_snapshots, since" in listed.said
    assert "opened" in listed.said
    found = json.loads(run("alerts", "list", "--json", home=home).out)
    assert [incident["kind"] for incident in found["open"] if incident["level"] == "fail"] == ["data_stale"]
    assert (found["waiting"], found["problem"]) == ([], None)


def test_monitor_of_an_empty_home_finds_nothing(run, tmp_path):
    told = run("monitor", home=tmp_path)
    assert told.code == 0
    assert "all is well" in told.said
    assert run("alerts", "list", home=tmp_path).said == "no incident is open"


def test_alerts_test_sends_one_to_each_channel_and_says_which_did_not_take_it(run, tmp_path, monkeypatch):
    with receiver() as taking, receiver() as failing:
        failing.status = 401
        monkeypatch.setenv("CRYPTOLIQ_ALERTS__URLS", taking.url)
        told = run("alerts", "test", home=tmp_path)
        assert told.code == 0
        assert told.said.startswith("delivered to json-")
        assert taking.titles == ["cryptoliq: a test of this channel"]
        monkeypatch.setenv("CRYPTOLIQ_ALERTS__URLS", f"{taking.url} {failing.url}")
        told = run("alerts", "test", home=tmp_path)
    assert told.code == 1
    assert len(taking.titles) == 2
    assert "not delivered to json-" in told.said
    assert "401" in told.said
    assert "hush" not in told.said
    assert not list((tmp_path / "reports").iterdir())


def test_alerts_test_without_a_channel_says_what_to_set(run, tmp_path):
    told = run("alerts", "test", home=tmp_path)
    assert told.code == 1
    assert "set CRYPTOLIQ_ALERTS__URLS" in told.said


def test_status_names_a_file_that_waits(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    shutil.copy(trained_home.later_files[0], home / "data" / "raw")
    assert "1 file(s) wait in data/raw: `cryptoliq materialize`" in run("status", home=home).said


def test_forecast_again_has_nothing_to_add(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    told = run("forecast", home=home)
    assert told.code == 0
    assert "the newest snapshot is already forecast by the present champion" in told.said


# What comes from files is shown as it is, and damage is named or mended.


def test_what_looks_like_markup_in_a_file_is_text(run, tmp_path):
    path = write(tmp_path / "coingecko_20250731.csv", ["x,y,[/b],1"], header="coin,symbol,[/b],[red]1h")
    told = run("validate", path, home=tmp_path / "home")
    assert told.code == 1
    assert "'[/b]'" in told.said
    assert "'[red]1h'" in told.said


def test_a_coin_named_like_markup_goes_all_the_way(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    rows = (trained_home.later_files[0]).read_text(encoding="utf-8").replace("Tether,", "[/b],")
    (home / "data" / "raw" / "coingecko_20250801.csv").write_text(rows, encoding="utf-8")
    told = run("materialize", home=home)
    assert told.code == 0
    assert "│ [/b]" in told.out


def test_a_damaged_month_of_a_derived_table_is_made_again(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    path = home / "data" / "cleaned" / "2025-06.parquet"
    whole = TableStore(make_settings(home_dir=home)).read("cleaned_snapshots")
    path.write_bytes(path.read_bytes()[:1000])
    assert "are older than what they are made from" in run("status", home=home).said
    assert run("materialize", home=home).code == 0
    pd.testing.assert_frame_equal(TableStore(make_settings(home_dir=home)).read("cleaned_snapshots"), whole)


def test_a_damaged_month_of_forecasts_is_named_and_left_alone(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    path = home / "data" / "forecasts" / "2025-07.parquet"
    path.write_bytes(b"PAR1")
    told = run("forecast", home=home)
    assert told.code == 1
    assert "forecasts/2025-07.parquet" in told.said
    assert path.read_bytes() == b"PAR1"


def test_files_of_other_months_than_those_asked_for_are_said_to_wait(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    shutil.copy(trained_home.later_files[0], home / "data" / "raw")
    told = run("materialize", "--from", "2025-06", "--to", "2025-06", home=home)
    assert told.code == 0
    assert "1 file(s) of other months still wait" in told.said


def test_status_names_a_current_model_that_is_refused(run, trained_home, tmp_path):
    home = trained_home.copy_to(tmp_path / "home")
    current = (home / "models" / "current.pkl").resolve()
    current.write_bytes(current.read_bytes()[:-1])
    said = run("status", home=home).said
    assert f"a model is refused: {current.stem}: sha256 of the artifact {current.stem}.pkl is" in said
    assert "truncated, swapped or tampered with" in said
