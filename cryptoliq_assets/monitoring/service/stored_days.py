"""The daily statistics in Postgres, so that they outlive the machine that counted them.

One row per day and data directory; if the data directories of a market share their predictions, one row per day.
"""

from collections.abc import Mapping

from cryptoliq_assets.core import Settings, read_home_id
from cryptoliq_assets.core.database import find_market

# In place of a data directory.
_SHARED = "shared"


def read_stored_days(settings: Settings) -> dict[str, str]:
    """Return the stored statistics as JSON by ISO date; none without Postgres.

    Args:
        settings: Settings of the data directory.
    """
    market = find_market(settings)
    if market is None:
        return {}
    own = read_home_id(settings)
    with market.database.transaction() as session:
        rows = session.fetch(
            "SELECT home, day, stats FROM cryptoliq_prediction_days WHERE market = :market AND home IN (:home, :own)",
            {"market": market.id, "home": _key_of(settings), "own": own},
        )
    # Those of before the predictions were shared, until a day is counted for all machines.
    rows.sort(key=lambda row: row[0] != own)
    return {str(day): str(stats) for _, day, stats in rows}


def _key_of(settings: Settings) -> str:
    return read_home_id(settings) if settings.shared_predictions_dir is None else _SHARED


def store_days(settings: Settings, days: Mapping[str, str]) -> None:
    """Store the statistics of days that changed; nothing without Postgres, or before the data directory has a market.

    Args:
        settings: Settings of the data directory.
        days: Statistics as JSON by ISO date. Stored days that are not among them are removed.
    """
    market = find_market(settings)
    if market is None:
        return
    key = {"market": market.id, "home": _key_of(settings)}
    stored = read_stored_days(settings)
    changed = {day: stats for day, stats in days.items() if stored.get(day) != stats}
    with market.database.transaction() as session:
        session.execute(
            "INSERT INTO cryptoliq_prediction_days (market, home, day, stats) VALUES (:market, :home, :day, :stats)"
            " ON CONFLICT (market, home, day) DO UPDATE SET stats = excluded.stats",
            [{**key, "day": day, "stats": stats} for day, stats in changed.items()],
        )
        session.execute(
            "DELETE FROM cryptoliq_prediction_days WHERE market = :market AND home = :home AND day = :day",
            [{**key, "day": day} for day in stored.keys() - days.keys()],
        )
