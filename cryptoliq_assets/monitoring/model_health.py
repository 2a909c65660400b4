"""Is there a champion, is it whole, and is it the one that was meant?"""

from cryptoliq_assets.core import Settings
from cryptoliq_assets.modeling.registry import PROMOTION, ROLLBACK, open_model_store
from cryptoliq_assets.monitoring.findings import FAIL, OK, WARN, Finding

# One place: what is said of the champion recovers whichever version is current by then.
WHERE = "champion"


def find_model_problems(settings: Settings) -> list[Finding]:
    """model_missing and model_broken, in this order, of the home's store.

    Of one fault one is raised: missing is a champion that was never made or whose files are gone; broken one whose files
    are there and pass no longer, or to which the pointer does not lead. By every check but unpickling, which sees whatever
    changed a byte.
    """
    store = open_model_store(settings)
    pointer = store.pointer()
    if pointer.version is None:
        # A home that is new lacks nothing: `champion_keeper` asks for the first training when there are days enough.
        missing = Finding("model_missing", OK, WHERE, "no model was ever promoted; forecasts wait for the first")
        return [missing, Finding("model_broken", OK, WHERE, "there is none to be broken")]
    figures = {"version": pointer.version}
    absent = [
        name for name in (f"{pointer.version}.pkl", f"{pointer.version}.json") if not (store.folder / name).exists()
    ]
    serving, reasons = store.latest_valid_version()
    serves = f"; {serving} serves in its place" if serving and serving != pointer.version else ""
    serves = serves if serving else "; no other loads either"
    if absent:
        what = f"{pointer.version}: {', '.join(absent)} is gone{serves}"
        missing = Finding("model_missing", FAIL, WHERE, what, figures=figures)
        return [missing, Finding("model_broken", OK, WHERE, "see model_missing", figures=figures)]
    there = Finding("model_missing", OK, WHERE, f"{pointer.version} is there", figures=figures)
    if reasons:
        # A pointer that is harmed leaves the right model serving.
        level = WARN if serving == pointer.version else FAIL
        broken = Finding("model_broken", level, WHERE, "; ".join(reasons) + serves, figures=figures)
    else:
        broken = Finding("model_broken", OK, WHERE, f"{pointer.version} is what was promoted", figures=figures)
    return [there, broken]


def find_rollback(settings: Settings) -> Finding:
    """model_rolled_back: from a rollback to the next promotion."""
    switches = [
        entry for entry in open_model_store(settings).ledger.entries() if entry.get("event") in (PROMOTION, ROLLBACK)
    ]
    last = switches[-1] if switches else {}
    # A pointer written again is no way back.
    if last.get("event") != ROLLBACK or last.get("before") == last.get("version"):
        return Finding("model_rolled_back", OK, WHERE, "the champion is the one promoted last")
    what = f"back from {last.get('before')} to {last['version']}: {last.get('reason')}"
    figures = {"version": last["version"], "before": last.get("before")}
    return Finding("model_rolled_back", WARN, WHERE, what, since=last.get("at"), figures=figures)
