from .archive import archive_problem as archive_problem, restore_from_drop_folder as restore_from_drop_folder
from .catalog import Catalog as Catalog, CatalogDamagedError as CatalogDamagedError, CatalogEntry as CatalogEntry
from .catalog_rebuild import (
    REPORT as REPORT,
    find_disagreements as find_disagreements,
    open_catalog as open_catalog,
    repair_catalog as repair_catalog,
)
from .drop_folder import (
    dry_run_file as dry_run_file,
    list_folder as list_folder,
    parse_content as parse_content,
    read_cursor as read_cursor,
    register as register,
    settled as settled,
    unknown_files as unknown_files,
    write_cursor as write_cursor,
)
from .external_folder import (
    import_files as import_files,
    move_accepted as move_accepted,
    name_conflicts as name_conflicts,
)
from .intake import Intake as Intake
from .month_rows import merge_arrivals as merge_arrivals
from .refresh_plan import Plan as Plan, make_plan as make_plan
from .safe_open import read_file as read_file, too_large as too_large, too_large_reason as too_large_reason
