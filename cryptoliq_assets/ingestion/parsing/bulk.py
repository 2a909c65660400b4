"""Many raw files at once: what `parse_snapshot` says of each, at a fraction of its cost.

A call of pyarrow or numpy costs microseconds however few rows it is given, and a file of 200 rows needs hundreds of
calls. So ordinary files of one header are laid end to end, read, judged and described as one, and cut apart again. A
file in which anything is out of the ordinary (a quote, a byte order mark, a doubtful name, a declared unit, …) is left to
`parse_snapshot`, which tells what it is. Rows with a number out of bounds, of which real files have some, are refused here.
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
from cryptoliq_assets.ingestion.parsing.snapshot import ParsedSnapshot, parse_snapshot, rejects_content
from cryptoliq_assets.ingestion.parsing.units import UnitConflictError, UnitFinding
from cryptoliq_assets.ingestion.quality import mark_unusable_rows
from cryptoliq_assets.ingestion.reports import list_row_issues, make_blank_report
from cryptoliq_assets.schemas import LAST_UPDATED_COLUMN, UNIT_COLUMN

# Faults of one number, which say nothing of other cells or rows.
_SIMPLE_FAULTS = (Reason.NEGATIVE, Reason.IMPLAUSIBLE)
_SIMPLE_CODES = [reason.code for reason in Reason if reason in _SIMPLE_FAULTS]
# Bytes read together: enough that calls no longer count, few enough to stay near the processor.
_TOGETHER = 2**20


@dataclass(frozen=True)
class RawFile:
    """A file to be parsed: its bare name, its bytes, the day after which its rows lie in the future.

    `sha256` is the digest of the content, where it is known already.
    """

    name: str
    content: bytes
    today: dt.date
    sha256: str | None = None


@dataclass(frozen=True)
class _OpenedFile:
    """A file whose text looks ordinary, with its place among the files asked for and its number of rows."""

    place: int
    file: RawFile
    document: Document
    rows: int


@dataclass(frozen=True)
class _ValidatedGroup:
    """Files read together; `file_of` says of each well-formed row which of them it belongs to, from 0."""

    group: Sequence[_OpenedFile]
    validated: ValidatedRows
    file_of: np.ndarray

    def without(self, out: np.ndarray) -> "_ValidatedGroup":
        """The files that a mask does not name, alone."""
        if not out.any():
            return self
        stays = ~out
        chosen = stays[self.file_of]
        group = [opened for opened, stay in zip(self.group, stays.tolist(), strict=True) if stay]
        return _ValidatedGroup(group, self.validated.select(chosen), (np.cumsum(stays) - 1)[self.file_of[chosen]])


@dataclass(frozen=True)
class _Rules:
    """What `parse_snapshot` is told of every file alike."""

    first_date: dt.date
    change_unit: str
    max_rejected_fraction: float
    max_empty_fraction: float


def parse_snapshots(
    files: Sequence[RawFile],
    *,
    first_date: dt.date,
    change_unit: str = "auto",
    max_rejected_fraction: float = 0.5,
    max_empty_fraction: float = 0.2,
) -> list[ParsedSnapshot]:
    """What `parse_snapshot` says of each file, in the order given: to the last bit, whatever they are read beside.

    Tables of files that were read together share memory: it is free when the last of them is gone. Never raises on
    any content; ValueError for an unknown `change_unit`.
    """
    rules = _Rules(first_date, change_unit, max_rejected_fraction, max_empty_fraction)
    found: dict[int, ParsedSnapshot] = {}
    for group in _groups(files):
        found.update(_parse_together(group, rules))
    return [found[place] if place in found else _parse_alone(file, rules) for place, file in enumerate(files)]


def _parse_alone(file: RawFile, rules: _Rules) -> ParsedSnapshot:
    return parse_snapshot(
        file.content,
        name=file.name,
        today=file.today,
        first_date=rules.first_date,
        change_unit=rules.change_unit,
        max_rejected_fraction=rules.max_rejected_fraction,
        max_empty_fraction=rules.max_empty_fraction,
        sha256=file.sha256,
    )


def _groups(files: Iterable[RawFile]) -> Iterator[list[_OpenedFile]]:
    """Files with ordinary texts, a few of one header at a time."""
    waiting: dict[tuple[str, ...], list[_OpenedFile]] = {}
    sizes: dict[tuple[str, ...], int] = {}
    sound_headers: dict[tuple[str, ...], bool] = {}
    for place, file in enumerate(files):
        opened = _open(place, file)
        if opened is None:
            continue
        header = opened.document.columns
        if header not in sound_headers:
            sound_headers[header] = _is_sound(opened.document)
        if not sound_headers[header]:
            continue
        if sizes.get(header, 0) + len(file.content) > _TOGETHER and header in waiting:
            yield waiting.pop(header)
            sizes[header] = 0
        waiting.setdefault(header, []).append(opened)
        sizes[header] = sizes.get(header, 0) + len(file.content)
    yield from waiting.values()


def _open(place: int, file: RawFile) -> _OpenedFile | None:
    """None for a name or a text that is not ordinary; whether the header is, `_is_sound` says."""
    content = file.content
    # With no quote and no CR each LF ends a record, or a blank line.
    if b'"' in content or b"\r" in content or not content.endswith(b"\n"):
        return None
    if describe_name_error(file.name):
        return None
    try:
        document = open_document(content)
    except FileRejectedError:
        return None
    rows = content.count(b"\n", document.body_start) - 1
    return _OpenedFile(place, file, document, rows) if rows > 0 and document.encoding == "utf-8" else None


def _is_sound(document: Document) -> bool:
    """Whether the header names each column of the contract once, and leaves the unit to be found."""
    if UNIT_COLUMN in document.columns:
        return False
    try:
        check_duplicate_columns(document)
        check_required_columns(document)
    except FileRejectedError:
        return False
    return True


def _parse_together(group: Sequence[_OpenedFile], rules: _Rules) -> dict[int, ParsedSnapshot]:
    """By place, what is to be said of those files of a group that turn out to have no fault."""
    # Alone, the plain way is the cheaper one.
    if len(group) < 2:
        return {}
    try:
        cells = read_cells(_joined(group))
    except FileRejectedError:
        return {}
    if cells.layout.rows_read + len(cells.layout.blank) != sum(opened.rows for opened in group):
        # A line without any character is no record, and whose the records after it are is not told.
        unbroken = [opened for opened in group if b"\n\n" not in opened.file.content]
        return _parse_together(unbroken, rules) if len(unbroken) < len(group) else {}
    judged = _judge(group, cells, rules)
    findings = infer_file_units(
        judged.validated, file_of=judged.file_of, files=len(judged.group), override=rules.change_unit
    )
    judged = judged.without(np.array([isinstance(finding, UnitConflictError) for finding in findings], dtype=bool))
    findings = [finding for finding in findings if isinstance(finding, UnitFinding)]
    if not findings:
        return {}
    kept = judged.validated.accepted
    counts = np.bincount(judged.file_of[kept], minlength=len(judged.group))
    starts = np.append(0, np.cumsum(counts))
    first_rows = np.append(0, np.cumsum([opened.rows for opened in judged.group])).tolist()
    described = describe_accepted_rows(
        select_accepted_rows(judged.validated, starts), findings, reject=rejects_content(rules.max_rejected_fraction)
    )
    observed = judged.validated.cells.text.get(LAST_UPDATED_COLUMN)
    parsed = {}
    for opened, start, finding, outcome in zip(judged.group, first_rows[:-1], findings, described, strict=True):
        if isinstance(outcome, FileRejectedError):
            continue
        rows, told = outcome
        report = make_blank_report(opened.file.name, opened.file.content, sha256=opened.file.sha256)
        report |= {"encoding": opened.document.encoding, "ignored_columns": opened.document.ignored_columns}
        report |= {"rows": opened.rows, "rows_read": opened.rows}
        refused = _refused_rows(opened, judged.validated, start)
        refused_counts = Counter(row.reason for row in refused)
        report["rows_refused"] = {code: refused_counts[code] for code in _SIMPLE_CODES if refused_counts[code]}
        report["issues"] = list_row_issues(refused, report["rows_refused"], dates=(rules.first_date, opened.file.today))
        own = None if observed is None else observed.slice(start, opened.rows)
        fill_report(
            report,
            told,
            document=opened.document,
            finding=finding,
            observed=own,
            max_empty_fraction=rules.max_empty_fraction,
        )
        parsed[opened.place] = ParsedSnapshot.accepted(rows, refused, report)
    return parsed


def _refused_rows(opened: _OpenedFile, validated: ValidatedRows, start: int) -> list[RejectedRow]:
    """The refused rows of a file, as they came; its rows begin at `start` of what was validated. Each is a line, without quotes."""
    rejections = validated.rejections
    places = np.flatnonzero(rejections.reasons[start : start + opened.rows] != Reason.NONE).tolist()
    if not places:
        return []
    document = opened.document
    # The first is what is left of the header's line.
    lines = bytes(document.body).split(b"\n")[1:]
    refused = []
    for place in places:
        text, column = lines[place].decode(), rejections.columns[rejections.column_indexes[start + place]]
        value = text.split(",")[document.columns.index(column)].strip()
        reason = Reason(int(rejections.reasons[start + place]))
        refused.append(RejectedRow(document.header_lines + place + 2, reason.code, column, value, text))
    return refused


def _joined(group: Sequence[_OpenedFile]) -> Document:
    """One document of all records of a group, in its order."""
    columns, encoding = group[0].document.columns, group[0].document.encoding
    # Each body begins with the end of its header: the blank lines that this makes are no records.
    return Document(b"".join(opened.document.body for opened in group), columns, 0, encoding)


def _judge(group: Sequence[_OpenedFile], cells: Cells, rules: _Rules) -> _ValidatedGroup:
    """Those files of a group, read as `cells`, of which every row is to be let in or has a number out of bounds."""
    layout = cells.layout
    validated = validate_single_file(cells, first=rules.first_date, last=max(opened.file.today for opened in group))
    file_of_record = np.repeat(np.arange(len(group)), [opened.rows for opened in group])
    file_of = file_of_record[layout.positions]
    faulty = np.zeros(len(group), dtype=bool)
    faulty[file_of_record[np.array([*layout.malformed, *layout.blank], dtype=np.int64)]] = True
    reasons = validated.rejections.reasons
    faulty[file_of[~validated.accepted & ~np.isin(reasons, _SIMPLE_FAULTS)]] = True
    last_days = np.array([opened.file.today for opened in group], dtype="datetime64[D]").astype(np.int64)
    faulty[file_of[validated.days > last_days[file_of]]] = True
    useless = np.logical_or.reduce([*mark_unusable_rows(validated).values()])
    rows = np.array([opened.rows for opened in group])
    most = rules.max_rejected_fraction * rows
    faulty |= np.bincount(file_of[useless], minlength=len(group)) > most
    refused = np.bincount(file_of[~validated.accepted], minlength=len(group))
    faulty |= (refused > most) | (refused == rows)
    # A row that sums up the others: `parse_snapshot` rejects it.
    volumes = validated.number_column("24h_volume")
    if volumes is not None:
        days = validated.days - validated.days.min(initial=0)
        groups = file_of * (days.max(initial=0) + 1) + days
        faulty[file_of[find_total_rows(validated.coins, groups, volumes, valid=validated.accepted)]] = True
    # A coin that comes twice, if only on two days.
    coins = max(len(validated.coins.dictionary), 1)
    named = np.sort(file_of * coins + validated.coins.indices.to_numpy())
    faulty[named[1:][named[1:] == named[:-1]] // coins] = True
    return _ValidatedGroup(group, validated, file_of).without(faulty)
