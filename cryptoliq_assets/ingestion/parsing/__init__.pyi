from .bulk import RawFile as RawFile, parse_snapshots as parse_snapshots
from .parsed_snapshot import ParsedSnapshot as ParsedSnapshot
from .snapshot import parse_snapshot as parse_snapshot
from .snapshot_dates import read_snapshot_dates as read_snapshot_dates
from .unit_evidence import UNITS as UNITS
from .units import infer_units as infer_units
