"""`cryptoliq predict` as a command: output, exit codes and errors."""

import shutil
from pathlib import Path

import pytest

from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.modeling.inference import load_champion
from cryptoliq_assets_tests.support.command_line import run_in_process
from cryptoliq_assets_tests.support.settings import make_settings

HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date"
NEW = "Newcoin,NEW,1.5,0.1,-5,3,100000,1e7,2025-07-31"


@pytest.fixture(scope="module")
def champion(trained_home):
    return load_champion(make_settings(home_dir=trained_home.path))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def run(home: Path, *words: str | Path) -> tuple[int, str]:
        result = run_in_process(capsys, monkeypatch, home, "predict", *words)
        return result.code, result.text

    return run


def written(folder: Path, *rows: str) -> Path:
    path = folder / "in.csv"
    path.write_text("\n".join([HEADER, *rows, ""]))
    return path


def test_command_exits_with_0_if_all_rows_are_forecast(run, trained_home, champion, tmp_path):
    code, output = run(trained_home.path, written(tmp_path, NEW), tmp_path / "out.csv")
    assert code == 0
    assert "1 row(s) read as percent: forecast 1 from snapshot" in output
    assert f"{champion.model_name} {champion.model_version} → {tmp_path}/out.csv" in output


def test_command_exits_with_1_if_a_row_is_rejected(run, trained_home, tmp_path):
    source = written(tmp_path, NEW, NEW.replace("1.5", "-1"))
    code, output = run(trained_home.path, source, tmp_path / "out.csv")
    assert code == 1
    assert "rejected 1: negative_value" in output
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 3


def test_invalid_file_exits_with_1_and_a_missing_one_with_2(run, trained_home, tmp_path):
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    code, output = run(trained_home.path, tmp_path / "in.csv", tmp_path / "out.csv")
    assert (code, "missing columns" in output) == (1, True)
    assert run(trained_home.path, tmp_path / "gone.csv", tmp_path / "out.csv")[0] == 2


def test_input_file_is_never_overwritten(run, trained_home, tmp_path):
    source = written(tmp_path, NEW)
    code, output = run(trained_home.path, source, source)
    assert (code, "OUT.csv is IN.csv" in output) == (2, True)
    assert source.read_text().startswith(HEADER + "\n")


def test_command_without_a_champion_names_the_next_step(run, tmp_path):
    prepare_home(make_settings(home_dir=tmp_path / "empty"))
    code, output = run(tmp_path / "empty", written(tmp_path, NEW), tmp_path / "out.csv")
    assert (code, "there is no champion yet: run `cryptoliq train`" in output) == (1, True)


def test_command_with_a_broken_champion_names_the_reason(run, trained_home, tmp_path):
    home = Path(shutil.copytree(trained_home.path, tmp_path / "home", symlinks=True))
    (artifact,) = (home / "models").glob("*_v1.pkl")
    artifact.write_bytes(b"")
    code, output = run(home, written(tmp_path, NEW), tmp_path / "out.csv")
    assert (code, "truncated, swapped or tampered with" in output) == (1, True)
