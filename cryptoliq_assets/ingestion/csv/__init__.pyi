from .cell_errors import (
    CellError as CellError,
    check_cell_errors as check_cell_errors,
    exclude_systematic_rows as exclude_systematic_rows,
    find_cell_errors as find_cell_errors,
)
from .cells import Cells as Cells, read_cells as read_cells, read_text as read_text
from .dates import (
    describe_name_error as describe_name_error,
    find_latest_timestamp as find_latest_timestamp,
    parse_file_date as parse_file_date,
    parse_iso_date as parse_iso_date,
)
from .header import (
    MAX_LISTED_ROWS as MAX_LISTED_ROWS,
    Document as Document,
    FileRejectedError as FileRejectedError,
    check_duplicate_columns as check_duplicate_columns,
    check_required_columns as check_required_columns,
    open_document as open_document,
)
from .optional_columns import OPTIONAL_SCHEMA as OPTIONAL_SCHEMA, parse_optional_columns as parse_optional_columns
from .records import (
    RecordBounds as RecordBounds,
    find_record_bounds as find_record_bounds,
    split_header_cells as split_header_cells,
)
from .rejections import (
    FILE_REJECTED as FILE_REJECTED,
    REPEAT_REASONS as REPEAT_REASONS,
    Reason as Reason,
    RejectedRow as RejectedRow,
    quote_cell as quote_cell,
)
from .row_validation import (
    ValidatedRows as ValidatedRows,
    find_truncated_line as find_truncated_line,
    latest_allowed_date as latest_allowed_date,
    list_rejected_rows as list_rejected_rows,
    validate_inference_rows as validate_inference_rows,
    validate_rows as validate_rows,
    validate_single_file as validate_single_file,
)
from .total_rows import find_total_rows as find_total_rows
