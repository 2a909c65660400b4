"""Health of the champion: whether it exists, whether it is valid, and whether it was rolled back.

Add findings about stored models. Whether the champion forecasts well belongs in `performance`.
"""

from cryptoliq_assets.core import Settings, file_exists
from cryptoliq_assets.modeling.registry import PROMOTION, ROLLBACK, open_model_store
from cryptoliq_assets.monitoring.alert_kinds import require_alert_kind
from cryptoliq_assets.monitoring.alert_registry import FAIL, OK, WARN, Level
from cryptoliq_assets.monitoring.findings import Finding

# One subject for all versions: a finding about the champion recovers regardless of which version is current by then.
WHERE = "champion"
_MISSING = require_alert_kind("model_missing")
_BROKEN = require_alert_kind("model_broken")
_ROLLED_BACK = require_alert_kind("model_rolled_back")


def find_model_problems(settings: Settings) -> list[Finding]:
    """Check that the champion's files exist and are valid.

    One cause raises one kind: `model_missing` if there was never a champion or its files are missing, `model_broken` if the
    files exist but are invalid, or the pointer does not lead to them. The files are checked without unpickling, which detects
    every changed byte.

    Args:
        settings: Where the models are stored.

    Returns:
        model_missing and model_broken, in this order.
    """
    store = open_model_store(settings)
    pointer = store.pointer()
    if pointer.version is None:
        # Not a failure in a new data directory: the champion sensor requests the first training once enough days exist.
        missing = Finding(_MISSING, OK, WHERE, "no model was promoted yet; forecasts start after the first promotion")
        return [missing, Finding(_BROKEN, OK, WHERE, "there is no champion to check")]
    figures = {"version": pointer.version}
    absent = [
        name for name in (f"{pointer.version}.pkl", f"{pointer.version}.json") if not file_exists(store.folder / name)
    ]
    serving, reasons = store.latest_valid_version()
    fallback = f"; {serving} serves instead" if serving and serving != pointer.version else ""
    fallback = fallback if serving else "; no other version loads"
    if absent:
        what = f"{pointer.version}: {', '.join(absent)} does not exist{fallback}"
        missing = Finding(_MISSING, FAIL, WHERE, what, figures=figures)
        return [missing, Finding(_BROKEN, OK, WHERE, "see model_missing", figures=figures)]
    exists = Finding(_MISSING, OK, WHERE, f"{pointer.version} exists", figures=figures)
    if reasons:
        # With a damaged pointer the correct model still serves.
        level: Level = WARN if serving == pointer.version else FAIL
        broken = Finding(_BROKEN, level, WHERE, "; ".join(reasons) + fallback, figures=figures)
    else:
        broken = Finding(_BROKEN, OK, WHERE, f"{pointer.version} is valid and the promoted version", figures=figures)
    return [exists, broken]


def find_rollback(settings: Settings) -> Finding:
    """Return model_rolled_back: WARN from a rollback to the next promotion.

    Args:
        settings: Where the models are stored.
    """
    switches = [
        entry for entry in open_model_store(settings).ledger.entries() if entry.get("event") in (PROMOTION, ROLLBACK)
    ]
    last = switches[-1] if switches else {}
    # A pointer that was written again is not a rollback.
    if last.get("event") != ROLLBACK or last.get("before") == last.get("version"):
        return Finding(_ROLLED_BACK, OK, WHERE, "the champion is the last promoted version")
    what = f"rolled back from {last.get('before')} to {last['version']}: {last.get('reason')}"
    figures = {"version": last["version"], "before": last.get("before")}
    return Finding(_ROLLED_BACK, WARN, WHERE, what, since=last.get("at"), figures=figures)
