"""preprocess, train and predict on files outside a data directory."""

import shutil

import pandas as pd
import pytest
from click.testing import CliRunner

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.modeling.estimators import MODEL_NAMES
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError
from cryptoliq_assets.modeling.standalone import read_model, read_rows
from cryptoliq_assets.storage.export import EXPORT_COLUMNS
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture(scope="module")
def folder(trained_home, tmp_path_factory):
    """Snapshots of 40 days, files preprocessed from them, and a folder that must stay empty."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "in").mkdir()
    for path in sorted((trained_home.path / "data" / "archive").glob("*.csv"))[-40:]:
        shutil.copy(path, outside / "in" / path.name)
    done = run(outside, "preprocess", "--input", str(outside / "in"), "--out", str(outside / "rows.parquet"))
    assert done.exit_code == 0, done.output
    return outside


@pytest.fixture(scope="module")
def model(folder):
    done = run(folder, "train", "--data", str(folder / "rows.parquet"), "--out-model", str(folder / "model.pkl"))
    assert done.exit_code == 0, done.output
    return folder / "model.pkl"


def run(folder, *arguments: str):
    return CliRunner().invoke(cli, ["--home", str(folder / "home"), *arguments], env={"CRYPTOLIQ_CV__N_SPLITS": "2"})


def test_preprocessed_files_equal_the_tables_of_a_home(folder, trained_home):
    rows = read_rows(folder / "rows.parquet")
    assert tuple(rows.columns[: len(EXPORT_COLUMNS)]) == EXPORT_COLUMNS
    assert not (folder / "home").exists()
    labels = TableStore(make_settings(home_dir=trained_home.path)).read("labels").astype({"coin": object})
    both = rows.astype({"coin": object}).merge(labels, on=["coin", "date"], suffixes=("", "_home"), validate="1:1")
    # Days whose neighbours are all among the files.
    both = both[both["date"].between("2025-07-10", "2025-07-30")]
    assert len(both) > 300
    for name in ("liquidity_score", "target_score"):
        pd.testing.assert_series_equal(both[name], both[f"{name}_home"], check_names=False)


@pytest.mark.parametrize("target", ["rows.csv", "out"])
def test_a_single_file_goes_to_a_csv_or_a_folder(folder, tmp_path, target):
    source = sorted((folder / "in").iterdir())[0]
    done = run(folder, "preprocess", "--input", str(source), "--out", str(tmp_path / target))
    assert done.exit_code == 0, done.output
    rows = read_rows(tmp_path / target)
    assert rows["date"].nunique() == 1
    assert not rows["trainable"].any()


def test_a_rejected_file_is_named_and_the_others_are_used(folder, tmp_path):
    shutil.copytree(folder / "in", tmp_path / "in")
    (tmp_path / "in" / "prices.csv").write_text("what,is,this\n1,2,3\n")
    done = run(folder, "preprocess", "--input", str(tmp_path / "in"), "--out", str(tmp_path / "rows.parquet"))
    assert done.exit_code == 1
    assert "prices.csv: the file name" in done.output.replace("\n", " ")
    assert len(read_rows(tmp_path / "rows.parquet")) == len(read_rows(folder / "rows.parquet"))


def test_a_model_trained_on_a_file_loads_and_forecasts(folder, model, tmp_path):
    champion = read_model(model)
    assert champion.model_name in MODEL_NAMES.values()
    source = sorted((folder / "in").iterdir())[-1]
    done = run(folder, "predict", "--model", str(model), str(source), str(tmp_path / "out.csv"))
    assert done.exit_code == 0, done.output
    output = pd.read_csv(tmp_path / "out.csv")
    assert output["liquidity_score"].notna().all()
    assert set(output["model"]) == {champion.model_name}
    assert not (folder / "home").exists()


def test_a_damaged_model_file_is_rejected(model, tmp_path):
    for name in ("model.pkl", "model.json"):
        shutil.copy(model.with_name(name), tmp_path / name)
    (tmp_path / "model.pkl").write_bytes(model.read_bytes()[:-1])
    with pytest.raises(ModelRejectedError, match="sha256"):
        read_model(tmp_path / "model.pkl")
    (tmp_path / "model.json").unlink()
    with pytest.raises(ModelRejectedError, match=r"model\.json"):
        read_model(tmp_path / "model.pkl")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["preprocess", "--input", "{in}"], 2, "--input and --out must be given together"),
        (
            ["preprocess", "--input", "{in}", "--out", "x.csv", "--from", "2025-07"],
            2,
            "--from and --to select months of a data directory",
        ),
        (["preprocess", "--input", "{in}/none.csv", "--out", "x.csv"], 2, "does not exist"),
        (["train", "--data", "{in}"], 2, "--data and --out-model must be given together"),
        (["train", "--data", "{in}", "--out-model", "model"], 2, "must end in .pkl"),
    ],
)
def test_wrong_usage_states_what_is_required(folder, arguments, code, message):
    done = run(folder, *(part.replace("{in}", str(folder / "in")) for part in arguments))
    assert (done.exit_code, message in done.output) == (code, True), done.output


def test_a_file_that_was_not_preprocessed_is_rejected(folder, tmp_path):
    source = sorted((folder / "in").iterdir())[0]
    done = run(folder, "train", "--data", str(source), "--out-model", str(tmp_path / "model.pkl"))
    assert done.exit_code == 1
    assert source.name in done.output
    assert (
        "columns are missing: liquidity_score" in done.output.replace("\n", " ") or "columns are missing" in done.output
    )
    assert list(tmp_path.iterdir()) == []


def test_too_few_days_to_learn_from_are_reported(folder, tmp_path):
    source = sorted((folder / "in").iterdir())[0]
    assert run(folder, "preprocess", "--input", str(source), "--out", str(tmp_path / "rows.csv")).exit_code == 0
    done = run(folder, "train", "--data", str(tmp_path / "rows.csv"), "--out-model", str(tmp_path / "model.pkl"))
    assert done.exit_code == 1
    assert "nothing can be trained: no labelled row" in done.output
