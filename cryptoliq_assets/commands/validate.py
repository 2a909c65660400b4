"""validate: what ingest would say of a file, without taking it in."""

import datetime as dt
import json
from pathlib import Path

import click

from cryptoliq_assets.commands.console import quit_with, say
from cryptoliq_assets.settings import Settings


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
@click.option(
    "--report",
    "report_file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Write the report of all files there, as reports/data_validation_report.json has it.",
)
@click.pass_obj
def validate(settings: Settings, files: tuple[Path, ...], as_json: bool, report_file: Path | None) -> None:
    """Say of each FILE what ingest would: accepted, or refused and why. Exit code 1 when anything is refused.

    Writes nothing unless --report names a file.
    """
    from cryptoliq_assets.io.files import write_json
    from cryptoliq_assets.raw.command_report import command_report, entry_of
    from cryptoliq_assets.raw.folder import examine

    today = dt.datetime.now(dt.UTC).date()
    reports = [examine(path, settings, today=today).report for path in files]
    if report_file is not None:
        write_json(report_file, command_report(map(entry_of, reports)))
    if as_json:
        click.echo(json.dumps(reports, indent=2, ensure_ascii=False, default=str))
    else:
        for report in reports:
            _show(report)
    bad = any(not report["accepted"] or sum(report["rows_refused"].values()) for report in reports)
    quit_with(1 if bad else 0)


def _show(report: dict) -> None:
    verdict = ("accepted", "green") if report["accepted"] else ("refused", "red")
    say(f"{report['file']}: ", verdict)
    if report["refusal"]:
        say(f"  {report['refusal']}")
    else:
        dates = f"{report['min_date']} to {report['max_date']}"
        say(f"  {report['rows_kept']:,} of {report['rows_read']:,} rows kept, {dates}")
        sure = "" if report["unit_certain"] else ", uncertain"
        say(f"  changes are {report['unit']} ({report['unit_found_by']}{sure})")
        if report["derived_columns"]:
            say(f"  derived: {', '.join(report['derived_columns'])}")
    # A refusal stands first among the issues as well.
    for issue in report["issues"][1 if report["refusal"] else 0 :]:
        say(f"  - {issue}")
