"""Command validate: dry run of ingest."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import click

from cryptoliq_assets.cli import exit_with, print_line
from cryptoliq_assets.core import Settings


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
@click.option(
    "--report",
    "report_file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Write the report of all files to this path, in the format of reports/data_validation_report.json.",
)
@click.pass_obj
def validate(settings: Settings, files: tuple[Path, ...], as_json: bool, report_file: Path | None) -> None:
    """Dry run: validate files without ingesting them. Exit code 1 if a file or row is rejected.

    Prints for each FILE whether it is accepted, or why it is rejected. Writes nothing unless --report names a file.
    """
    from cryptoliq_assets.core import write_json
    from cryptoliq_assets.ingestion.landing import dry_run_file
    from cryptoliq_assets.ingestion.reports import build_command_report, summarize_file_report

    today = dt.datetime.now(dt.UTC).date()
    reports = [dry_run_file(path, settings, today=today).report for path in files]
    if report_file is not None:
        write_json(report_file, build_command_report(map(summarize_file_report, reports)))
    if as_json:
        click.echo(json.dumps(reports, indent=2, ensure_ascii=False, default=str))
    else:
        for report in reports:
            _print_report(report)
    has_rejections = any(not report["accepted"] or sum(report["rows_refused"].values()) for report in reports)
    exit_with(1 if has_rejections else 0)


def _print_report(report: dict[str, Any]) -> None:
    status = ("accepted", "green") if report["accepted"] else ("rejected", "red")
    print_line(f"{report['file']}: ", status)
    if report["refusal"]:
        print_line(f"  {report['refusal']}")
    else:
        dates = f"{report['min_date']} to {report['max_date']}"
        print_line(f"  {report['rows_kept']:,} of {report['rows_read']:,} rows accepted, {dates}")
        certainty = "" if report["unit_certain"] else ", uncertain"
        print_line(f"  unit of changes: {report['unit']} ({report['unit_found_by']}{certainty})")
        if report["derived_columns"]:
            print_line(f"  derived: {', '.join(report['derived_columns'])}")
    # The reason for a rejection is also the first issue.
    for issue in report["issues"][1 if report["refusal"] else 0 :]:
        print_line(f"  - {issue}")
