from .bulk import RawFile as RawFile, parse_snapshots as parse_snapshots
from .snapshot import (
    ParsedSnapshot as ParsedSnapshot,
    parse_snapshot as parse_snapshot,
    read_snapshot_dates as read_snapshot_dates,
)
from .units import UNITS as UNITS, infer_units as infer_units
