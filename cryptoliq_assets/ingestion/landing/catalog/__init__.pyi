from .entries import (
    CatalogEntry as CatalogEntry,
    DiscoveredFile as DiscoveredFile,
)
from .file_catalog import Catalog as Catalog
from .opening import find_catalog as find_catalog, open_catalog as open_catalog
from .rebuild import rebuild_catalog as rebuild_catalog
from .repair import (
    CATALOG as CATALOG,
    REPORT as REPORT,
    find_disagreements as find_disagreements,
    repair_catalog as repair_catalog,
)
from .sqlite_file import CatalogDamagedError as CatalogDamagedError
