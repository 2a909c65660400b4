"""Fuzz test: no bytes make `validate` or `ingest` fail, and no accepted row violates the schema.

    python benchmarks/fuzz.py [--cases 10000] [--seed N] [--real DIR]

A third of the cases are random bytes and random CSV-like text, a third are real or simulated snapshot files with cells, lines and
bytes changed, a third are simulated ones with whole columns emptied, made constant, scaled, swapped or contradicting one another
(`column_mutations.py`). Every case is validated as by `validate`; every accepted one is checked against the Pandera model of the raw
table, and a changed column that the contract requires to be rejected or named must not pass silently. The cases are then ingested, a
few hundred at a time, into a new home, and processed into cleaned rows, features and labels.

Every tenth case also has an unusual name and goes through the real commands: `cryptoliq validate` of the file, then
`cryptoliq ingest` of a home that contains all of them. They must exit with 0 or 1, name the file, and print no control
characters. Exit code 1 if anything went wrong.
"""

import argparse
import datetime as dt
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from column_mutations import Mutation, mutate_columns
from side_by_side import describe_machine

from cryptoliq_assets.cleaning import clean_snapshots
from cryptoliq_assets.cli import cli, escape_text
from cryptoliq_assets.core import Settings, date_span, month_of, months_between, prepare_home
from cryptoliq_assets.features import engineer_features
from cryptoliq_assets.ingestion.landing import (
    Catalog,
    Intake,
    find_new_files,
    list_folder,
    merge_arrivals,
    parse_content,
    register_files,
)
from cryptoliq_assets.labels import label_targets
from cryptoliq_assets.schemas import TABLES
from cryptoliq_assets.simulation import simulate_market, snapshot_files
from cryptoliq_assets.storage import TableStore, validate_table

TODAY = dt.date(2026, 1, 1)
_CELLS = [
    "",
    "0",
    "-1",
    "1e400",
    "inf",
    "NaN",
    "1,5",
    '"',
    "true",
    "x" * 300,
    "2022-02-30",
    "2031-01-01",
    "é",
    "1e-320",
    " 7 ",
    "\x00",
    "0x10",
    "1_000",
]
# Cells that a terminal or a console library may interpret.
_CELLS += ["[red]", "[/b]", "\x1b[31m", "\x1b]0;title\x07", "\r", "\x9b2J", "\u202e", "%s{0}"]
_SPLICES = [b"", b"\x00", b"\xff\xfe", b'"', b"\r", b"\n\n", b",,,,", b"\xef\xbb\xbf", "\u2028".encode(), b";"]


def make_seed_files(real: Path | None) -> list[bytes]:
    """Return valid files to mutate: simulated ones, and real ones if available."""
    market = simulate_market(coins=25, days=6, end=dt.date(2022, 3, 20), seed=7)
    valid = [content for _, content in snapshot_files(market)]
    if real and real.is_dir():
        valid += [path.read_bytes() for path in sorted(real.glob("*/*.csv"))]
    return valid


def make_column_seed_files() -> list[bytes]:
    """Return valid files of which columns are changed: one day of a simulated market each."""
    market = simulate_market(coins=40, days=12, end=dt.date(2022, 3, 20), seed=11)
    return [content for _, content in snapshot_files(market)]


def mutate_content(content: bytes, chance: random.Random) -> bytes:
    """Change a few cells, lines or bytes of a file."""
    for _ in range(chance.randint(1, 6)):
        kind = chance.random()
        if kind < 0.5:
            lines = content.split(b"\n")
            at = chance.randrange(len(lines))
            cells = lines[at].split(b",")
            cells[chance.randrange(len(cells))] = chance.choice(_CELLS).encode()
            lines[at] = b",".join(cells)
            content = b"\n".join(lines)
        elif kind < 0.7:
            lines = content.split(b"\n")
            at = chance.randrange(len(lines))
            lines[at : at + 1] = chance.choice([[], [lines[at]] * 2, [lines[at][: len(lines[at]) // 2]]])
            content = b"\n".join(lines)
        elif kind < 0.9:
            at = chance.randrange(len(content) + 1)
            content = content[:at] + chance.choice(_SPLICES) + content[at + chance.randint(0, 3) :]
        else:
            content = content[: chance.randrange(len(content) + 1)]
    return content


def make_random_content(chance: random.Random) -> bytes:
    """Return random bytes, or text that looks like CSV."""
    if chance.random() < 0.4:
        return chance.randbytes(chance.randint(0, 400))
    header = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date"
    rows = [
        ",".join(chance.choice(_CELLS) for _ in range(chance.choice([9, 9, 9, 8, 10, 1])))
        for _ in range(chance.randint(0, 8))
    ]
    return "\n".join([chance.choice([header, header.upper(), ""]), *rows]).encode()


def check_case(content: bytes, settings: Settings, mutation: Mutation | None) -> bool:
    """Validate one case and return whether it is accepted; raise if anything is wrong."""
    parsed = parse_content("coingecko_20220316.csv", content, settings, today=TODAY)
    report = parsed.report
    assert report["rows_read"] == report["rows_kept"] + sum(report["rows_refused"].values()), report
    assert report["accepted"] == (parsed.rows is not None)
    error = mutation and mutation.find_error(report)
    assert not error, f"{mutation.description}: {error}"
    if parsed.rows is None:
        assert report["refusal"], "rejected without a reason"
        return False
    rows = parsed.rows.append_column("source_file", [["f"] * parsed.rows.num_rows])
    rows = rows.append_column("arrival", [np.ones(parsed.rows.num_rows, dtype=np.int64)])
    store = TableStore(settings)
    frame = merge_arrivals(store.read("raw_snapshots", []), [rows])
    assert len(frame) == parsed.rows.num_rows, "rows repeat"
    validate_table(TABLES["raw_snapshots"], frame, where="accepted rows")
    return True


def ingest(cases: list[bytes], folder: Path, first: int) -> int:
    """Ingest the cases as files of different days; return the number of accepted ones."""
    settings = Settings(home_dir=folder)
    settings.raw_dir.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(cases):
        date = dt.date(2014, 1, 1) + dt.timedelta(days=(first + number) % 4000)
        (settings.raw_dir / f"coingecko_{date:%Y%m%d}.csv").write_bytes(content)
    catalog, store = Catalog(settings.catalog_path), TableStore(settings)
    register_files(
        find_new_files(list_folder(settings.raw_dir), catalog),
        settings,
        catalog=catalog,
        now=dt.datetime.now(dt.UTC),
    )
    waiting = catalog.files(states=["waiting"])
    months = {month for file in waiting for month in file.months} or {month_of(TODAY)}
    result = Intake(settings, store).ingest(months_between(min(months), max(months)))
    store.write("raw_snapshots", result.frame, months_between(min(months), max(months)), sources=result.sources)
    assert not catalog.files(states=["waiting"]), "a file is still waiting"
    make_tables(store, settings, months_between(min(months), max(months)))
    return sum(report["accepted"] for report in result.reports)


def make_tables(store: TableStore, settings: Settings, months: list[str]) -> None:
    """Run the steps after ingestion on all accepted rows; the tables are validated when written."""
    since, until = date_span(months)
    cleaned, _ = clean_snapshots(store.read("raw_snapshots", months), since=since, until=until)
    store.write("cleaned_snapshots", cleaned, months)
    features = engineer_features(cleaned, formula=settings.formula, since=since)
    store.write("engineered_features", features, months)
    labels = label_targets(features, horizon_days=settings.horizon_days, since=since, until=until)
    store.write("labels", labels, months)


# Commands, run in this process.

_COMMANDS = CliRunner()
# Pieces of names: markup, control characters, invalid text, other scripts, words that look like options.
_WORDS = (
    "coingecko_ coin_gecko_ 20220316 2022-03-16 .csv .CSV .. - --json %s{0} ~ $HOME [red] [b] [link=x] refused_rows"
)
_PIECES = [
    *_WORDS.split(),
    *" \n\r\t\x07\x08\x7f\x9b\u202e\u2028\udcff'\"\\é₿雪\U0001f680",
    *("\x1b[2J", "é", "x" * 90, "雪" * 40),
]


def make_unusual_name(chance: random.Random) -> str:
    """Return a file name that the file system accepts; one in three is a snapshot's."""
    if chance.random() < 0.33:
        return f"coingecko_{dt.date(2022, 1, 1) + dt.timedelta(days=chance.randrange(60)):%Y%m%d}.csv"
    name = "".join(chance.choice(_PIECES) for _ in range(chance.randint(1, 6)))
    while len(os.fsencode(name)) > 255:
        name = name[:-1]
    return "one.csv" if name in (".", "..") else name


def run_command(*words: str, home: Path) -> str:
    """Return the output of a command; raise if its exit code or output is wrong."""
    result = _COMMANDS.invoke(cli, ["--home", str(home), *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1), f"exit code {result.exit_code}: {result.output[-300:]}"
    assert "Traceback" not in result.output, result.output[-300:]
    return result.output


def check_output(output: str) -> None:
    """Check that an output contains no control characters."""
    control = {character for character in output if not character.isprintable() and character != "\n"}
    assert not control, f"control characters {control}: {output[:300]!r}"


def check_commands(name: str, content: bytes, folder: Path) -> None:
    """Run `cryptoliq validate` on one file, with text and JSON output."""
    path = folder / "files" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    output = run_command("validate", "--", str(path), home=folder / "home")
    check_output(output)
    shown = escape_text(name)
    assert output.startswith((f"{shown}: accepted\n", f"{shown}: rejected\n")), f"{shown!r} in {output[:300]!r}"
    (report,) = json.loads(run_command("validate", "--json", "--", str(path), home=folder / "home"))
    assert report["accepted"] == output.startswith(f"{shown}: accepted\n"), report
    assert not (folder / "home").exists(), "validate wrote into the home"
    path.unlink()


def ingest_by_command(cases: dict[str, bytes], home: Path) -> int:
    """Run `cryptoliq ingest` on all cases at once; return the number of rejected ones."""
    settings = Settings(home_dir=home)
    prepare_home(settings)
    for name, content in cases.items():
        (settings.raw_dir / name).write_bytes(content)
    output = run_command("ingest", home=home)
    check_output(output)
    listing, received = list_folder(settings.raw_dir), Catalog(settings.catalog_path).files()
    assert not [file.name for file in received if file.state == "waiting"], "a file is still waiting"
    rejected = [file.name for file in received if file.state == "refused"] + list(listing.skipped)
    assert sorted(rejected) == sorted({*rejected}), "rejected twice"
    for name in rejected:
        assert f"rejected {escape_text(name)}: " in output, f"{name!r} is not named in {output[:300]!r}"
    hidden = sum(name.startswith(".") for name in cases)
    assert len(received) + len(listing.skipped) + hidden == len(cases), "a file was lost"
    return len(rejected)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--real", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    args = parser.parse_args()
    print(f"{describe_machine()}\nseed {args.seed}", flush=True)
    chance = random.Random(args.seed)
    valid, columns = make_seed_files(args.real), make_column_seed_files()
    started, wrong, accepted, ingested, commands, rejected = time.perf_counter(), 0, 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home_dir=Path(folder) / "validate")
        batch: list[bytes] = []
        named: dict[str, bytes] = {}
        for number in range(args.cases):
            kind, mutation = chance.randrange(3), None
            if kind == 0:
                content = make_random_content(chance)
            elif kind == 1:
                content = mutate_content(chance.choice(valid), chance)
            else:
                mutation = mutate_columns(chance.choice(columns), chance)
                content = mutation.content
            batch.append(content)
            try:
                accepted += check_case(content, settings, mutation)
                if number % 10 == 0:
                    name = make_unusual_name(chance)
                    named[name] = content
                    commands += 1
                    check_commands(name, content, Path(folder))
                if len(batch) == 500 or number == args.cases - 1:
                    batch, cases = [], batch
                    ingested += ingest(cases, Path(folder) / f"home-{number}", number)
                    named, cases_named = {}, named
                    rejected += ingest_by_command(cases_named, Path(folder) / f"commands-{number}")
                    print(f"  {number + 1:,} cases, {time.perf_counter() - started:.0f} s", flush=True)
            except Exception as error:  # any exception is a finding of the fuzz test
                wrong += 1
                print(f"case {number}: {type(error).__name__}: {error}\n  {content[:300]!r}", flush=True)
    print(f"{args.cases:,} cases: {accepted:,} accepted, {ingested:,} ingested, {wrong} went wrong")
    print(f"of them {commands:,} with unusual names through the commands: {rejected:,} rejected by `cryptoliq ingest`")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
