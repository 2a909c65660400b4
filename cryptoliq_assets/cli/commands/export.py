"""export: a table as one file for other programs."""

from pathlib import Path

import click

from cryptoliq_assets.cli import console, month_range, pass_home
from cryptoliq_assets.core import Settings

_EXPORTS = ("features", "cleaned", "labels", "forecasts")


@click.command()
@click.argument("name", metavar="[TABLE]", type=click.Choice(_EXPORTS), default="features")
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.option("--coin", "coins", metavar="NAME", multiple=True, help="Only this coin; may be given several times.")
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
    """Write TABLE (features, cleaned, labels or forecasts; default: features) as one file; 1h, 24h and 7d are percent.

    The features come with the prices, changes, volumes and market caps that they were made from.
    """
    from rich.progress import Progress

    from cryptoliq_assets.core import write_chunks
    from cryptoliq_assets.storage import EXPORTED_TABLES, TableStore, encode_months, read_month

    store = TableStore(settings)
    months = [m for m in store.months(EXPORTED_TABLES[name]) if (first or m) <= m <= (last or m)]
    if not months:
        made_by = "forecast" if name == "forecasts" else "materialize"
        raise click.ClickException(f"no {name} in that range: run `cryptoliq {made_by}` first")
    path = out or _default_path(settings, name, form)
    rows, seen = 0, set()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:

        def frames():
            nonlocal rows
            for month in bar.track(months, description="exporting"):
                frame = read_month(store, name, month, coins=coins)
                rows += len(frame)
                seen.update(map(str, frame["coin"].unique()) if coins else ())
                yield frame
            unknown = [coin for coin in coins if coin not in seen]
            if unknown:
                # Nothing is written: the file would look as if the coin had no days.
                raise click.ClickException(
                    f"no {name} of {', '.join(unknown)} from {months[0]} to {months[-1]}: names are as in the table, case included"
                )

        write_chunks(path, encode_months(frames(), format=form))
    console.print(f"{rows:,} rows, {months[0]} to {months[-1]}: {path}", soft_wrap=True)


def _default_path(settings: Settings, name: str, form: str) -> Path:
    if (name, form) == ("features", "csv"):
        return settings.data_dir / "processed" / "engineered_features.csv"
    return settings.data_dir / "exports" / f"{name}.{form}"
