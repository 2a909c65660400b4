from .checksum import add_checksum as add_checksum, check_file as check_file
from .damaged_tables import is_intact as is_intact, set_aside as set_aside, verify_rows as verify_rows
from .export import (
    CONTRACT_COLUMNS as CONTRACT_COLUMNS,
    CSV as CSV,
    PARQUET as PARQUET,
    TABLES_OF as TABLES_OF,
    encode_months as encode_months,
    read_month as read_month,
)
from .file_stamp import FileFingerprint as FileFingerprint
from .parquet_store import TableStore as TableStore, empty_frame as empty_frame, sort_rows as sort_rows
from .validation import (
    TableDamaged as TableDamaged,
    TableInvalid as TableInvalid,
    schema_fingerprint as schema_fingerprint,
    validate_table as validate_table,
)
