"""A home: the folders and the Dagster instance file that everything else expects."""

from pathlib import Path

from cryptoliq_assets.io.files import write_file
from cryptoliq_assets.settings import Settings


def prepare_home(settings: Settings) -> list[Path]:
    """Make what is not there yet; returns what was made. Raises OSError naming the path that cannot be made."""
    made = []
    for folder in (
        settings.raw_dir,
        settings.models_dir,
        settings.reports_dir,
        settings.dagster_home,
    ):
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            made.append(folder)
    instance_file = settings.dagster_home / "dagster.yaml"
    if not instance_file.exists():
        write_file(instance_file, Path(__file__).with_name("dagster.yaml").read_bytes())
        made.append(instance_file)
    return made
