from .archive import find_archive_damage as find_archive_damage, restore_from_drop_folder as restore_from_drop_folder
from .catalog import (
    REPORT as REPORT,
    Catalog as Catalog,
    CatalogDamagedError as CatalogDamagedError,
    CatalogEntry as CatalogEntry,
    find_catalog as find_catalog,
    find_disagreements as find_disagreements,
    open_catalog as open_catalog,
    repair_catalog as repair_catalog,
)
from .drop_folder import (
    FolderListing as FolderListing,
    dry_run_file as dry_run_file,
    find_new_files as find_new_files,
    list_folder as list_folder,
    parse_content as parse_content,
    read_cursor as read_cursor,
    register_files as register_files,
    split_settled as split_settled,
    write_cursor as write_cursor,
)
from .external_folder import (
    import_files as import_files,
    move_accepted as move_accepted,
    name_conflicts as name_conflicts,
)
from .intake import Intake as Intake
from .month_rows import merge_arrivals as merge_arrivals
from .refresh_plan import RefreshPlan as RefreshPlan, make_plan as make_plan
from .safe_open import describe_too_large as describe_too_large, is_too_large as is_too_large, read_file as read_file
