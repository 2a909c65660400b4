"""Help, wrong usage and invalid settings."""

import subprocess
import sys

import pytest

from cryptoliq_assets_tests.support.command_line import COMMANDS, run_script


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_help_text(run, tmp_path, name):
    result = run(name, "--help", home=tmp_path)
    assert result.code == 0
    assert f"Usage: cryptoliq {name}" in result.out
    assert len(result.out.splitlines()[2].strip()) > 20
    assert not list(tmp_path.iterdir())


def test_help_lists_all_commands_without_importing_dagster():
    code = "import sys; sys.argv=['cryptoliq', '--version']\nfrom cryptoliq_assets.cli.main import cli\n"
    code += "try: cli()\nexcept SystemExit: print([m for m in ('dagster', 'pandas', 'numpy') if m in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert process.stdout.splitlines()[-1] == "[]"
    result = run_script("--help")
    assert result.code == 0
    assert all(f"\n  {name} " in result.out for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "message"),
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
def test_wrong_usage_exits_with_2_and_a_reason(run, tmp_path, words, message):
    result = run(*words, home=tmp_path / "none")
    assert result.code == 2
    assert message in result.text
    assert "Traceback" not in result.text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("month", ["2025-7", "2025-13", "2025-00", "0000-01", "july", "2025-07-01", "", "２０２５-07"])
@pytest.mark.parametrize("command", ["materialize", "preprocess", "export"])
def test_invalid_month_is_rejected(run, tmp_path, command, month):
    result = run(command, "--from", month, home=tmp_path)
    assert result.code == 2
    assert f"Invalid value for '--from': {month!r} is not a month like 2025-07" in result.text


@pytest.mark.parametrize("command", ["materialize", "preprocess", "export"])
def test_range_that_ends_before_it_starts_is_rejected(run, tmp_path, read_only, command):
    for home in (tmp_path, read_only):
        result = run(command, "--from", "2025-07", "--to", "2025-06", home=home)
        assert result.code == 2
        assert "--from 2025-07 is after --to 2025-06" in result.text


@pytest.mark.parametrize("command", ["materialize", "preprocess"])
@pytest.mark.parametrize(("flag", "month"), [("--from", "2012-12"), ("--to", "2199-01")])
def test_month_outside_the_partitions_is_rejected(run, tmp_path, trained_home, command, flag, month):
    (tmp_path / "empty").mkdir()
    for home in (tmp_path / "empty", trained_home.copy_to(tmp_path / "full")):
        result = run(command, flag, month, home=home)
        assert result.code == 2
        assert f"{month} is not a month between 2013-01 and 20" in result.text


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("HORIZON_DAYS", "99", "CRYPTOLIQ_HORIZON_DAYS is '99': Input should be less than or equal to 28"),
        (
            "FORMULA",
            "kyle",
            "CRYPTOLIQ_FORMULA is 'kyle': unknown liquidity formula 'kyle'; expected one of amihud, kyle_o",
        ),
        (
            "FIRST_MONTH",
            "2199-01",
            "CRYPTOLIQ_STORAGE__FIRST_MONTH is '2199-01': the first month is after the current one",
        ),
        (
            "CHANGE_UNIT",
            "permille",
            "CRYPTOLIQ_INGESTION__CHANGE_UNIT is 'permille': Input should be 'auto', 'percent' or 'fract",
        ),
    ],
)
@pytest.mark.parametrize("command", ["status", "materialize"])
def test_invalid_setting_names_variable_value_and_expectation(
    run, tmp_path, monkeypatch, command, variable, value, message
):
    monkeypatch.setenv(f"CRYPTOLIQ_{variable}", value)
    result = run(command, home=tmp_path / "home")
    assert result.code == 2
    assert message in result.text
    assert "Traceback" not in result.text
    assert "pydantic" not in result.text


def test_the_script_rejects_an_invalid_setting(tmp_path):
    result = run_script("status", CRYPTOLIQ_HOME=str(tmp_path), CRYPTOLIQ_HORIZON_DAYS="99")
    assert result.code == 2
    assert "CRYPTOLIQ_HORIZON_DAYS is '99': Input should be less than or equal to 28" in result.text
    assert "Traceback" not in result.text


def test_data_directory_that_is_a_file_is_rejected(run, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = run("status", home=tmp_path / "file")
    assert result.code == 2
    assert "is a file" in result.text


def test_data_directory_that_cannot_be_created_exits_with_1(run, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = run("setup", home=tmp_path / "file" / "home")
    assert result.code == 1
    assert result.text.startswith("error: ")
    assert str(tmp_path / "file") in result.text


def test_module_runs_the_command():
    process = subprocess.run(
        [sys.executable, "-m", "cryptoliq_assets.cli.main", "--version"], capture_output=True, text=True, timeout=60
    )
    assert (process.returncode, process.stdout.startswith("cryptoliq, version ")) == (0, True)
