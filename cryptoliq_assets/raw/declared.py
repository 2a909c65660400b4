"""The unit that a file itself declares for 1h, 24h and 7d, in its column change_unit."""

import pyarrow.compute as pc

from cryptoliq_assets.raw.contract import Document, FileRefusedError
from cryptoliq_assets.raw.faults import short
from cryptoliq_assets.raw.records import find_records
from cryptoliq_assets.raw.screening import Screened
from cryptoliq_assets.raw.units import UNITS, Unit
from cryptoliq_assets.schemas.raw import UNIT_COLUMN


def declared_unit(screened: Screened, document: Document) -> Unit | None:
    """The unit; None where the file has no such column, or no cell of it says anything.

    Every well-formed row has a say, let in or not. Raises FileRefusedError ("bad_change_unit") where one says something
    else than the first, or no unit at all.
    """
    cells = screened.cells.text.get(UNIT_COLUMN)
    if cells is None:
        return None
    words = pc.unique(cells).to_pylist()
    if words in ([], [""]):
        return None
    strange = next((word for word in words if word not in UNITS), None)
    if strange is None and len(words) == 1:
        return words[0]
    # Of two units that are each right, the one that comes later.
    wrong = words[1] if strange is None else strange
    row = pc.index(cells, wrong).as_py()
    lines = find_records(document.body).lines
    line = int(lines[screened.cells.layout.positions[row]]) + document.header_lines
    said = f"line {line}: {UNIT_COLUMN} is {short(wrong)}"
    before = f"; the rows before it say {short(words[0])}" if words[0] != wrong else ""
    raise FileRefusedError(
        "bad_change_unit", f"{said}; expected {' or '.join(UNITS)}, the same in every row of the file{before}"
    )
