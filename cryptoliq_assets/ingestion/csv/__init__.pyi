from .cell_errors import (
    CellError as CellError,
    check_cell_errors as check_cell_errors,
    find_cell_errors as find_cell_errors,
    without_systematic as without_systematic,
)
from .cells import Cells as Cells, latest_moment as latest_moment, read_cells as read_cells, read_text as read_text
from .header import (
    MOST_LISTED_ROWS as MOST_LISTED_ROWS,
    Document as Document,
    FileRejectedError as FileRejectedError,
    check_duplicate_columns as check_duplicate_columns,
    check_missing as check_missing,
    file_date as file_date,
    iso_date as iso_date,
    name_fault as name_fault,
    open_document as open_document,
)
from .optional_columns import OPTIONAL_SCHEMA as OPTIONAL_SCHEMA, read_optional as read_optional
from .records import Records as Records, find_records as find_records, split_cells as split_cells
from .rejections import (
    FILE_REFUSED as FILE_REFUSED,
    REPEATS as REPEATS,
    Reason as Reason,
    RefusedRow as RefusedRow,
    short as short,
)
from .row_validation import (
    ValidatedRows as ValidatedRows,
    latest_allowed_date as latest_allowed_date,
    refused_rows as refused_rows,
    truncated_line as truncated_line,
    validate_inference_rows as validate_inference_rows,
    validate_rows as validate_rows,
    validate_single_file as validate_single_file,
)
from .total_rows import find_total_rows as find_total_rows
