"""Generate docs/data-contracts.md from the table models, so that the two cannot differ.

python -m tools.data_contracts > docs/data-contracts.md
"""

from cryptoliq_assets.ingestion.parsing import UNITS
from cryptoliq_assets.ingestion.reports import REPORT_KEYS
from cryptoliq_assets.schemas import (
    BACKTEST,
    BACKTEST_BY_COIN,
    CONTRACT_COLUMNS,
    DERIVED_COLUMNS,
    OPTIONAL_COLUMNS,
    PLAUSIBLE_BOUNDS,
    REQUIRED_COLUMNS,
    TABLES,
    UNIT_COLUMN,
)

_HEAD = """# Data contracts

Generated from the table models in `cryptoliq_assets/schemas/` by `python -m tools.data_contracts`; a test compares the two.

## Input files

For the author of a feed. One CSV file, UTF-8, comma-separated, with a header line, named `coingecko_YYYYMMDD.csv` or `coin_gecko_YYYY-MM-DD.csv` after its day. Write it elsewhere and move it to
`data/raw/`, or write it there (a file is ingested only when it has stopped changing). Required columns: {required}. Derived if missing: {derived}. Stored if present: {optional} (an unreadable cell of
these is left empty, counted under `unread_cells`, and rejects nothing). Other columns are ignored and listed in the report. The unit of {units} is percent or fraction, the same for all three. Dates are
`YYYY-MM-DD` (UTC). Numbers are plain (`1234.5`, `1.2e9`); an empty cell means unknown. A row is identified by coin and date.

Plausible numbers are: {plausible}. A row with another number is rejected (`implausible_number`); such a cell of an optional column is left empty and counted as unread.

A feed, step by step:

1. Write the day's file next to `data/raw`, on the same disk, or in it under a name that begins with a dot; such names are ignored.
2. Test it: `cryptoliq validate FILE` is a dry run of ingest, with exit code 1 if anything is rejected; `--json` for machines. The file must have its final name
   (`/tmp/coingecko_20250731.csv` is enough).
3. Rename it into place (`mv`, `os.replace`), so that the sensor never sees a partial file. A file that is written in place is ingested when two consecutive checks find it unchanged; a writer that pauses
   longer than that is read too early.
4. A correction is a complete file of the same name: it replaces the previous version, and rows that it no longer has are removed. A second file of the same day under the other name is merged: if both
   contain a coin, the later arrival wins.
5. Or leave files in a folder of your own, and let `cryptoliq ingest --input-dir D --archive-dir A` import them: accepted files move to A, rejected ones stay in D.

The unit of {units} is inferred from the file alone. A column `{unit}` declares it: {words}, the same in every row (empty in every row: not declared). It has priority over the sizes of the changes and over the
setting `CRYPTOLIQ_INGESTION__CHANGE_UNIT`, and is not stored. `price_change_24h` together with `24h` proves the unit, and so do values below -1; a declaration that they contradict rejects the file. Without any
of these the unit is inferred from the sizes of the changes, which can be wrong on a calm day or for a few pegged coins. Fetched files declare their unit. How problems are handled:

| problem | result |
|---|---|
| none | archived, its rows are accepted, a report lists the findings |
| a cell: text in a number, an infinity, an implausible number, a negative price, volume or cap; a missing coin; a date that is invalid, before the first allowed month or in the future; too many or too few cells | the row is rejected: `data/quarantine/<file>.refused_rows.csv` and the report name line, column and value (rows of an earlier version of the file: `<file>.<arrival>.refused_rows.csv`) |
| a row named total, sum, all or the like, whose volume is within 1 % of the sum of the other rows of its date | the row is rejected (`total_row`) |
| a stated `liquidity_ratio` or `price_change_24h` that differs by more than 1 % and 1e-6 from the value that the other columns of its row give | the stated value is replaced by the derived one and counted under `contradicted_cells`; if most rows disagree, by more than rounding explains, the file is rejected (`contradiction`) with both values of three rows |
| cells of one column with the same error: a Unicode minus, thousands separators, a decimal comma, a percent or currency sign, a unit such as M, a placeholder | the rows are rejected, and the report lists the error once with its count and a sample (`cell_errors`); if the error depends on the value (only losers have the minus), the file is rejected (`systematic_errors`) |
| a column that is empty in more than `CRYPTOLIQ_INGESTION__MAX_EMPTY_FRACTION` of the rows, or 20 percentage points above the preceding days | an issue in the report; if no row has both 24h and 7d, another issue states that no row can train or score a model |
| coin, price (0 counts as empty) or volume empty in more than `CRYPTOLIQ_INGESTION__MAX_REJECTED_FRACTION` of the rows | the file is rejected (`empty_columns`) |
| numbers on another scale: a column from exactly 0 to exactly 1, a median of 24h_volume / mkt_cap outside 1e-6 to 10, volumes or market caps in coins, market caps that contradict `circulating_supply` or prices that contradict `high_24h` and `low_24h` by a factor of 10 | the file is rejected (`implausible_scale`) |
| HTML, JSON, XML, gzip, zip, xlsx, Parquet and other formats under a .csv name | the file is rejected (`wrong_type`); the reason names the format and what to do |
| two rows of one coin and date | the last one counts, the other is rejected as a duplicate |
| the name, the header (missing or duplicate columns), the encoding, binary content, an open quote, a line cut off at the end, columns in different units, a `{unit}` that is not a unit or differs between rows, or errors in more than half of the rows | the file is rejected and moved to `data/quarantine/` |
| more than 1,000 cells or 4 MiB in one row; more rows than can be read in 12 times the size of the file plus 200 MB (rows of under 50 bytes); more than 100,000 rows, most of which have another number of cells than the header | the file is rejected before it is split: `too_many_cells`, `row_too_long`, `too_many_rows`, `too_many_refused` |
| any failure during ingestion (memory, disk, an error in cryptoliq) | the other files are ingested; this one is reported as unread with the error, and retried at the next checks, `CRYPTOLIQ_SENSORS__MAX_RUN_ATTEMPTS` times in all; then it goes to quarantine with its report (`failed`), or, if the disk was the cause, stays where it is until it changes |

The report of the latest version is `reports/validation/<file>.json`; reports of earlier versions are `<file>.<arrival>.json` in the same folder, so the report of the version in the tables remains available when a
later one is rejected.

`reports/data_validation_report.json` covers the latest command that ingested files, with all of its files and runs (for the daemon: the latest run, or backfill). `files` has `file`, `rows`, `min_date`, `max_date`,
`issues` and the result of each file, in addition to the totals; for a single file these five are at the top level as well. A file that could not be read is included, with the reason. `cryptoliq validate` ingests
nothing and writes no report, except to the file that `--report` names. Contents of the report of one file:

| key | meaning |
|---|---|
{report_keys}
"""


def document() -> str:
    """Return the page as Markdown."""
    names = {name: ", ".join(f"`{column}`" for column in columns) for name, columns in _COLUMN_SETS.items()}
    keys = "\n".join(f"| `{key}` | {meaning} |" for key, meaning in REPORT_KEYS.items())
    by_bounds: dict[str, list[str]] = {}
    for name, bounds in PLAUSIBLE_BOUNDS.items():
        by_bounds.setdefault(str(bounds), []).append(f"`{name}`")
    plausible = "; ".join(f"{', '.join(columns)}: {bounds}" for bounds, columns in by_bounds.items())
    parts = [
        _HEAD.format(
            **names,
            unit=UNIT_COLUMN,
            words=" or ".join(f"`{unit}`" for unit in UNITS),
            report_keys=keys,
            plausible=plausible,
        )
    ]
    stored = [(table, f"data/{table.path}/") for table in TABLES.values()]
    stored += [(table, f"reports/{table.path}") for table in (BACKTEST, BACKTEST_BY_COIN)]
    for table, where in stored:
        key = ", ".join(table.schema.unique or [])
        place = "Under" if where.endswith("/") else "In"
        parts.append(f"## {table.name}\n\n{(table.model.__doc__ or '').strip()} {place} `{where}`; key: {key}.\n")
        lines = ["| column | type | unit | null | meaning | derived from |", "|---|---|---|---|---|---|"]
        for name, column in table.schema.columns.items():
            meta = column.metadata or {}
            sources = ", ".join(f"`{source.split('.', 1)[1]}`" for source in meta.get("sources", ()))
            null = "yes" if column.nullable else ""
            lines.append(
                f"| `{name}` | {column.dtype} | {meta.get('unit', '')} | {null} | {column.description} | {sources} |"
            )
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


_COLUMN_SETS = {
    "required": REQUIRED_COLUMNS,
    "derived": DERIVED_COLUMNS,
    "optional": OPTIONAL_COLUMNS,
    "units": [name for name in CONTRACT_COLUMNS if name in ("1h", "24h", "7d")],
}


if __name__ == "__main__":
    print(document(), end="")
