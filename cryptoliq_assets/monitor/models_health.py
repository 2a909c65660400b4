"""Models health: is there a champion, and does it load?"""

from cryptoliq_assets.models.store import store_of
from cryptoliq_assets.monitor.conditions import FAIL, OK, Condition
from cryptoliq_assets.settings import Settings


def model_conditions(settings: Settings) -> list[Condition]:
    """One condition of the champion: none of a home that never had one."""
    store = store_of(settings)
    if store.current_version() is None:
        return []
    version, reasons = store.newest_intact()
    level = FAIL if reasons else OK
    return [Condition("model_broken", level, "champion", "; ".join(reasons) or f"{version} is intact")]
