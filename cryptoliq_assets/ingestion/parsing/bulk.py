"""Many raw files at once: the results of `parse_snapshot`, at a fraction of its cost.

A call of pyarrow or numpy takes microseconds however few rows it gets, and a file of 200 rows needs hundreds of calls. So
ordinary files with the same header are concatenated, parsed as one and separated again. An unusual file (a quote, a byte order
mark, an invalid name, a declared unit, …) is left to `parse_snapshot`; rows with a number out of range, which real files
contain, are rejected here.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cryptoliq_assets.ingestion.csv import (
    Cells,
    Document,
    FileRejectedError,
    Reason,
    RejectedRow,
    ValidatedRows,
    check_duplicate_columns,
    check_required_columns,
    describe_name_error,
    find_total_rows,
    open_document,
    read_cells,
    validate_single_file,
)
from cryptoliq_assets.ingestion.parsing.accepted_rows import (
    describe_accepted_rows,
    fill_report,
    infer_file_units,
    select_accepted_rows,
)
from cryptoliq_assets.ingestion.parsing.parsed_snapshot import ParsedSnapshot
from cryptoliq_assets.ingestion.parsing.snapshot import ParseOptions, parse_snapshot
from cryptoliq_assets.ingestion.parsing.units import UnitConflictError, UnitFinding
from cryptoliq_assets.ingestion.quality import mark_unusable_rows
from cryptoliq_assets.ingestion.reports import list_row_issues, make_blank_report
from cryptoliq_assets.schemas import LAST_UPDATED_COLUMN, UNIT_COLUMN

# Reasons about a single number, independent of other cells and rows.
_SIMPLE_REASONS = (Reason.NEGATIVE, Reason.IMPLAUSIBLE)
_SIMPLE_CODES = [reason.code for reason in Reason if reason in _SIMPLE_REASONS]
# Bytes parsed together: enough to make the calls cheap, few enough to stay in the processor's cache.
_GROUP_BYTES = 2**20


@dataclass(frozen=True)
class RawFile:
    """A file to be parsed.

    Attributes:
        name: Bare file name.
        content: The bytes of the file.
        today: Last allowed date of its rows (UTC).
        sha256: Checksum of the content, if known already.
    """

    name: str
    content: bytes
    today: dt.date
    sha256: str | None = None


@dataclass(frozen=True)
class _OpenedFile:
    """A file with an ordinary text: its index among the requested files and its number of rows."""

    index: int
    file: RawFile
    document: Document
    rows: int


@dataclass(frozen=True)
class _ValidatedGroup:
    """Files parsed together; `file_of` is the index in `group` of each well-formed row."""

    group: Sequence[_OpenedFile]
    validated: ValidatedRows
    file_of: np.ndarray

    def exclude(self, excluded: np.ndarray) -> "_ValidatedGroup":
        """Return the group without the files that a mask selects."""
        if not excluded.any():
            return self
        remaining = ~excluded
        chosen = remaining[self.file_of]
        group = [opened for opened, remains in zip(self.group, remaining.tolist(), strict=True) if remains]
        return _ValidatedGroup(group, self.validated.select(chosen), (np.cumsum(remaining) - 1)[self.file_of[chosen]])


def parse_snapshots(
    files: Sequence[RawFile],
    *,
    first_date: dt.date,
    change_unit: str = "auto",
    max_rejected_fraction: float = 0.5,
    max_empty_fraction: float = 0.2,
) -> list[ParsedSnapshot]:
    """Parse many raw files; no content raises an exception.

    Tables of files that were parsed together share memory, which is released with the last of them.

    Args:
        files: The files.
        first_date: See `ParseOptions`, as for the next three arguments.
        change_unit: The setting `ingestion.change_unit`.
        max_rejected_fraction: The setting `ingestion.max_rejected_fraction`.
        max_empty_fraction: The setting `ingestion.max_empty_fraction`.

    Returns:
        The result of `parse_snapshot` for each file, in order and identical to the last bit, regardless of the other files.

    Raises:
        ValueError: If `change_unit` is unknown.
    """
    options = ParseOptions(first_date, change_unit, max_rejected_fraction, max_empty_fraction)
    parsed: dict[int, ParsedSnapshot] = {}
    for group in _group_by_header(files):
        parsed.update(_parse_group(group, options))
    return [parsed[index] if index in parsed else _parse_single(file, options) for index, file in enumerate(files)]


def _parse_single(file: RawFile, options: ParseOptions) -> ParsedSnapshot:
    return parse_snapshot(file.content, name=file.name, today=file.today, sha256=file.sha256, **vars(options))


def _group_by_header(files: Iterable[RawFile]) -> Iterator[list[_OpenedFile]]:
    """Yield groups of ordinary files with the same header, of about _GROUP_BYTES."""
    waiting: dict[tuple[str, ...], list[_OpenedFile]] = {}
    sizes: dict[tuple[str, ...], int] = {}
    ordinary_headers: dict[tuple[str, ...], bool] = {}
    for index, file in enumerate(files):
        opened = _open_ordinary(index, file)
        if opened is None:
            continue
        header = opened.document.columns
        if header not in ordinary_headers:
            ordinary_headers[header] = _has_ordinary_header(opened.document)
        if not ordinary_headers[header]:
            continue
        if sizes.get(header, 0) + len(file.content) > _GROUP_BYTES and header in waiting:
            yield waiting.pop(header)
            sizes[header] = 0
        waiting.setdefault(header, []).append(opened)
        sizes[header] = sizes.get(header, 0) + len(file.content)
    yield from waiting.values()


def _open_ordinary(index: int, file: RawFile) -> _OpenedFile | None:
    """Open a file; None for an unusual name or text. `_has_ordinary_header` checks the header."""
    content = file.content
    # Without quotes and CR each LF ends a record or an empty line.
    if b'"' in content or b"\r" in content or not content.endswith(b"\n"):
        return None
    if describe_name_error(file.name):
        return None
    try:
        document = open_document(content)
    except FileRejectedError:
        return None
    rows = content.count(b"\n", document.body_start) - 1
    return _OpenedFile(index, file, document, rows) if rows > 0 and document.encoding == "utf-8" else None


def _has_ordinary_header(document: Document) -> bool:
    """Return whether the header contains each column of the contract once, and no declared unit."""
    if UNIT_COLUMN in document.columns:
        return False
    try:
        check_duplicate_columns(document)
        check_required_columns(document)
    except FileRejectedError:
        return False
    return True


def _parse_group(group: Sequence[_OpenedFile], options: ParseOptions) -> dict[int, ParsedSnapshot]:
    """Return, by index, the results of the files of a group that are ordinary in every respect."""
    # A single file is parsed faster by `parse_snapshot`.
    if len(group) < 2:
        return {}
    try:
        cells = read_cells(_concatenate(group))
    except FileRejectedError:
        return {}
    if cells.layout.rows_read + len(cells.layout.blank) != sum(opened.rows for opened in group):
        # An empty line is no record, so the file of the records after it is not known.
        unbroken = [opened for opened in group if b"\n\n" not in opened.file.content]
        return _parse_group(unbroken, options) if len(unbroken) < len(group) else {}
    ordinary = _validate_group(group, cells, options)
    results = infer_file_units(
        ordinary.validated, file_of=ordinary.file_of, files=len(ordinary.group), override=options.change_unit
    )
    ordinary = ordinary.exclude(np.array([isinstance(result, UnitConflictError) for result in results], dtype=bool))
    findings = [result for result in results if isinstance(result, UnitFinding)]
    if not findings:
        return {}
    validated = ordinary.validated
    counts = np.bincount(ordinary.file_of[validated.accepted], minlength=len(ordinary.group))
    accepted = select_accepted_rows(validated, np.append(0, np.cumsum(counts)))
    first_rows = np.append(0, np.cumsum([opened.rows for opened in ordinary.group])).tolist()
    described = describe_accepted_rows(accepted, findings, reject=options.rejects_content)
    observed = validated.cells.text.get(LAST_UPDATED_COLUMN)
    parsed = {}
    for opened, start, finding, result in zip(ordinary.group, first_rows[:-1], findings, described, strict=True):
        if isinstance(result, FileRejectedError):
            continue
        rows, entries = result
        report = make_blank_report(opened.file.name, opened.file.content, sha256=opened.file.sha256)
        report |= {"encoding": opened.document.encoding, "ignored_columns": opened.document.ignored_columns}
        report |= {"rows": opened.rows, "rows_read": opened.rows}
        rejected = _list_rejected_rows(opened, validated, start)
        by_reason = Counter(row.reason for row in rejected)
        report["rows_refused"] = {code: by_reason[code] for code in _SIMPLE_CODES if by_reason[code]}
        report["issues"] = list_row_issues(
            rejected, report["rows_refused"], dates=(options.first_date, opened.file.today)
        )
        fill_report(
            report,
            entries,
            document=opened.document,
            finding=finding,
            observed=None if observed is None else observed.slice(start, opened.rows),
            max_empty_fraction=options.max_empty_fraction,
        )
        parsed[opened.index] = ParsedSnapshot.from_accepted(rows, rejected, report)
    return parsed


def _list_rejected_rows(opened: _OpenedFile, validated: ValidatedRows, start: int) -> list[RejectedRow]:
    """List the rejected rows of a file, each one line without quotes; its rows begin at `start` of the validated ones."""
    rejections = validated.rejections
    places = np.flatnonzero(rejections.reasons[start : start + opened.rows] != Reason.NONE).tolist()
    if not places:
        return []
    document = opened.document
    # The first element is the rest of the header line.
    lines = bytes(document.body).split(b"\n")[1:]
    rejected = []
    for place in places:
        text, column = lines[place].decode(), rejections.columns[rejections.column_indexes[start + place]]
        value = text.split(",")[document.columns.index(column)].strip()
        reason = Reason(int(rejections.reasons[start + place]))
        rejected.append(RejectedRow(document.header_lines + place + 2, reason.code, column, value, text))
    return rejected


def _concatenate(group: Sequence[_OpenedFile]) -> Document:
    """Return one document with all records of a group, in order."""
    columns, encoding = group[0].document.columns, group[0].document.encoding
    # Each body begins with the line end of its header: the resulting empty lines are no records.
    return Document(b"".join(opened.document.body for opened in group), columns, 0, encoding)


def _validate_group(group: Sequence[_OpenedFile], cells: Cells, options: ParseOptions) -> _ValidatedGroup:
    """Return the files of which every row is accepted or has a number out of range; `cells` are those of the group."""
    layout = cells.layout
    validated = validate_single_file(cells, first=options.first_date, last=max(opened.file.today for opened in group))
    file_of_record = np.repeat(np.arange(len(group)), [opened.rows for opened in group])
    file_of = file_of_record[layout.positions]
    unusual = np.zeros(len(group), dtype=bool)
    unusual[file_of_record[np.array([*layout.malformed, *layout.blank], dtype=np.int64)]] = True
    unusual[file_of[~validated.accepted & ~np.isin(validated.rejections.reasons, _SIMPLE_REASONS)]] = True
    last_days = np.array([opened.file.today for opened in group], dtype="datetime64[D]").astype(np.int64)
    unusual[file_of[validated.days > last_days[file_of]]] = True
    unusable = np.logical_or.reduce([*mark_unusable_rows(validated).values()])
    rows = np.array([opened.rows for opened in group])
    max_invalid = options.max_rejected_fraction * rows
    unusual |= np.bincount(file_of[unusable], minlength=len(group)) > max_invalid
    rejected = np.bincount(file_of[~validated.accepted], minlength=len(group))
    unusual |= (rejected > max_invalid) | (rejected == rows)
    # `parse_snapshot` rejects a row that contains the total of the others.
    volumes = validated.number_column("24h_volume")
    if volumes is not None:
        days = validated.days - validated.days.min(initial=0)
        groups = file_of * (days.max(initial=0) + 1) + days
        unusual[file_of[find_total_rows(validated.coins, groups, volumes, valid=validated.accepted)]] = True
    # A coin that occurs twice, even if on different dates.
    n_coins = max(len(validated.coins.dictionary), 1)
    keys = np.sort(file_of * n_coins + validated.coins.indices.to_numpy())
    unusual[keys[1:][keys[1:] == keys[:-1]] // n_coins] = True
    return _ValidatedGroup(group, validated, file_of).exclude(unusual)
