"""Writes docs/data-contracts.md from the table models, so that the two cannot differ.

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

Made from the table models in `cryptoliq_assets/schemas/` by `python -m tools.data_contracts`; a test holds the
two together.

## Files that come in

For the author of a feed. One CSV file, UTF-8, comma-separated, with a header line; named `coingecko_YYYYMMDD.csv` or
`coin_gecko_YYYY-MM-DD.csv` after its day; written elsewhere and moved into `data/raw/`, or written there (a file is taken only once it
has stopped changing). It must carry {required}; {derived} are derived where absent; {optional} are kept
where a file has them (a cell of these that cannot be read is left empty, counted under `unread_cells`, and refuses nothing); other columns
are ignored and listed in the report. Units of {units}: percent or fraction, the same in all three. Dates are `YYYY-MM-DD` (UTC). Numbers
are plain (`1234.5`, `1.2e9`); an empty cell means unknown. A row is identified by coin and date.

Plausible numbers are: {plausible}. A row with another number is refused (`implausible_number`); such a cell of a
column that is kept where a file has it is left empty and counted as unread.

A feed, step by step:

1. Write the day's file beside `data/raw`, on the same disk, or in it under a name that begins with a dot; such names are passed by.
2. Test it: `cryptoliq validate FILE` says what ingest would, and ends with exit code 1 where anything is refused; `--json` for machines. It wants the final
   name (`/tmp/coingecko_20250731.csv` will do).
3. Rename it into place (`mv`, `os.replace`): the sensor then never sees half of it. A file that is written in place is taken once two looks found
   it the same, which a writer that pauses can outlast.
4. A correction is a whole file of the same name: it replaces the version before, rows that it no longer has are gone. A second file of the same day under the
   other name is merged: where both have a coin, the one that arrived later wins.
5. Or leave files in a folder of your own, and have `cryptoliq ingest --input-dir D --archive-dir A` fetch them: accepted ones move to A, refused ones stay in D.

The unit of {units} is found from the file alone. A column `{unit}` declares it: {words}, the same in every row (empty in every row: not
declared); it outranks sizes and the setting `CRYPTOLIQ_INGESTION__CHANGE_UNIT`, and is read, not kept. `price_change_24h` beside `24h` proves the unit, and so
do values below -1; a declaration that they contradict refuses the file. Without any of these the sizes of the changes have to tell, and on a
calm day, or of a few pegged coins, they can tell wrong. Fetched files declare theirs. What happens to a file:

| what is wrong | what becomes of it |
|---|---|
| nothing | archived, its rows go in, a report says what was found |
| a cell: text in a number, an infinity, an implausible number, a negative price, volume or cap; a missing coin; a date that cannot be read, lies before the first partition or in the future; too many or too few cells | the row is refused: `data/quarantine/<file>.refused_rows.csv` and the report name line, column and value (rows of an earlier version of the file: `<file>.<arrival>.refused_rows.csv`) |
| a row named total, sum, all or the like, whose volume is within 1 % of the sum of the other rows of its date | the row is refused (`total_row`) |
| a stated `liquidity_ratio` or `price_change_24h` that is further than 1 % and 1e-6 from what the other columns of its row give | the stated value is dropped and derived, counted under `contradicted_cells`; if most rows disagree, by more than rounding explains, the file is refused whole (`contradiction`) with both values of three rows |
| cells of one column that have the same error: a Unicode minus, thousands separators, a decimal comma, a percent or currency sign, a unit such as M, a placeholder | the rows are refused, and the report names the error once with its count and a sample (`cell_errors`); if the error strikes cells because of their value (only losers have the minus), the file is refused whole (`systematic_errors`) |
| a column that is empty in more than `CRYPTOLIQ_INGESTION__MAX_EMPTY_FRACTION` of the rows, or 20 percentage points above the preceding days | an issue of the report; if no row has both 24h and 7d, another one says that none can train or score a model |
| coin, price (0 counts as empty) or volume empty in more than `CRYPTOLIQ_INGESTION__MAX_REJECTED_FRACTION` of the rows | the file is refused whole (`empty_columns`) |
| numbers on another scale: a column from exactly 0 to exactly 1, a median of 24h_volume / mkt_cap outside 1e-6 to 10, volumes or market caps that are numbers of coins, market caps off `circulating_supply` or prices off `high_24h` and `low_24h` by a factor of 10 | the file is refused whole (`implausible_scale`) |
| HTML, JSON, XML, gzip, zip, xlsx, Parquet and other formats under a .csv name | the file is refused whole (`wrong_type`); the reason names the format and what to do |
| two rows of one coin and date | the last one counts, the other is refused as a repeat |
| the name, the header (missing or doubled columns), the encoding, binary content, an open quote, a line cut off at the end, columns in different units, a `{unit}` that is no unit or not the same in every row, or more than half of its rows | the file is refused whole and moved to `data/quarantine/` |
| more than 1,000 cells or 4 MiB in one row; more rows than are read in 12 times the file's size and 200 MB (rows of under 50 bytes); more than 100,000 rows, and most of them, with another number of cells than the header | the file is refused before it is split: `too_many_cells`, `row_too_long`, `too_many_rows`, `too_many_refused` |
| any failure while a file is taken in (memory, the disk, a fault in cryptoliq) | the other files are taken in; this one is reported as unread with the error, and tried again at the next looks, `CRYPTOLIQ_SENSORS__MAX_RUN_ATTEMPTS` times in all; then it goes to quarantine with its report (`failed`), or, if the disk was at fault, stays where it is until it changes |

The report of the version that was looked at last is `reports/validation/<file>.json`; those of earlier versions of the file
are kept beside it as `<file>.<arrival>.json`, so that the report of the version in the tables is there although a later one was
refused.

`reports/data_validation_report.json` is of the latest command that took files in, all of its files and all of its runs (of the daemon: of the
latest run, or backfill). `files` has `file`, `rows`, `min_date`, `max_date`, `issues` of each file, with its verdict, beside the sums of all; for a
single file these five are at the top level as well. A file that could not be read is among them, with the reason. `cryptoliq validate` takes nothing
in and writes none, except to the file that `--report` names. What the report of one file says:

| key | meaning |
|---|---|
{report_keys}
"""


def document() -> str:
    """The page, as Markdown."""
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
        lines = ["| column | type | unit | null | meaning | made from |", "|---|---|---|---|---|---|"]
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
