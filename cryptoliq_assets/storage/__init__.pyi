from .checksum import (
    add_checksum as add_checksum,
    verify_checksum as verify_checksum,
    with_checksum as with_checksum,
)
from .damaged_tables import is_intact as is_intact, set_aside_month as set_aside_month, verify_rows as verify_rows
from .export import (
    CSV as CSV,
    EXPORT_COLUMNS as EXPORT_COLUMNS,
    EXPORTED_TABLES as EXPORTED_TABLES,
    PARQUET as PARQUET,
    encode_months as encode_months,
    read_month as read_month,
)
from .frames import empty_frame as empty_frame, sort_rows as sort_rows
from .market import check_files_owner as check_files_owner, join_market as join_market
from .memory import release_memory as release_memory
from .ownership import ForeignTableError as ForeignTableError
from .parquet_store import TableStore as TableStore
from .stamps import FileFingerprint as FileFingerprint, cached_tables as cached_tables
from .validation import (
    DamagedTableError as DamagedTableError,
    InvalidTableError as InvalidTableError,
    schema_fingerprint as schema_fingerprint,
    validate_table as validate_table,
)
from .worker_access import (
    WorkerAccess as WorkerAccess,
    find_versions as find_versions,
    open_shared_store as open_shared_store,
    share_store as share_store,
)
