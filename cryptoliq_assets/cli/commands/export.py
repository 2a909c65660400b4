"""Command export: write a table as one file for other programs."""

from collections.abc import Iterator
from pathlib import Path

import click
import pandas as pd

from cryptoliq_assets.cli import console, month_range, pass_home
from cryptoliq_assets.core import Settings

_EXPORTS = ("features", "cleaned", "labels", "forecasts")


@click.command()
@click.argument("name", metavar="[TABLE]", type=click.Choice(_EXPORTS), default="features")
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.option("--coin", "coins", metavar="NAME", multiple=True, help="Only this coin; can be repeated.")
@month_range
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="File; default: data/processed/engineered_features.csv, else data/exports/TABLE.csv or .parquet.",
)
@pass_home
def export(
    settings: Settings,
    name: str,
    form: str,
    coins: tuple[str, ...],
    first: str | None,
    last: str | None,
    out: Path | None,
) -> None:
    """Write TABLE (features, cleaned, labels or forecasts; default: features) as one file; 1h, 24h and 7d are in percent.

    Features are exported with the prices, changes, volumes and market caps that they were computed from.
    """
    from rich.progress import Progress

    from cryptoliq_assets.core import write_chunks
    from cryptoliq_assets.storage import EXPORTED_TABLES, TableStore, encode_months, read_month

    store = TableStore(settings)
    months = [m for m in store.months(EXPORTED_TABLES[name]) if (first or m) <= m <= (last or m)]
    if not months:
        command = "forecast" if name == "forecasts" else "materialize"
        raise click.ClickException(f"no {name} in that range: run `cryptoliq {command}` first")
    path = out or _default_path(settings, name, form)
    rows = 0
    exported_coins: set[str] = set()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:

        def read_frames() -> Iterator[pd.DataFrame]:
            nonlocal rows
            for month in bar.track(months, description="exporting"):
                frame = read_month(store, name, month, coins=coins)
                rows += len(frame)
                exported_coins.update(map(str, frame["coin"].unique()) if coins else ())
                yield frame
            unknown = [coin for coin in coins if coin not in exported_coins]
            if unknown:
                # Nothing is written: a file without the coin would suggest that the coin has no days.
                raise click.ClickException(
                    f"no {name} of {', '.join(unknown)} from {months[0]} to {months[-1]}: names are as in the table, "
                    "case-sensitive"
                )

        write_chunks(path, encode_months(read_frames(), format=form))
    console.print(f"{rows:,} rows, {months[0]} to {months[-1]}: {path}", soft_wrap=True)


def _default_path(settings: Settings, name: str, form: str) -> Path:
    if (name, form) == ("features", "csv"):
        return settings.data_dir / "processed" / "engineered_features.csv"
    return settings.data_dir / "exports" / f"{name}.{form}"
