from .market import (
    simulate_market as simulate_market,
    snapshot_files as snapshot_files,
    write_snapshots as write_snapshots,
)
