"""The paths below a data directory: every file and folder has one name here.

Creating them belongs in `core/home.py`.
"""

from pathlib import Path


class HomePaths:
    """Paths of one data directory; `Settings` inherits them."""

    home_dir: Path

    @property
    def data_dir(self) -> Path:
        """Everything received and computed: the drop folder, the catalog and the tables."""
        return self.home_dir / "data"

    @property
    def raw_dir(self) -> Path:
        """The drop folder."""
        return self.data_dir / "raw"

    @property
    def archive_dir(self) -> Path:
        """A copy of every accepted file."""
        return self.data_dir / "archive"

    @property
    def quarantine_dir(self) -> Path:
        """Every rejected file, and the rejected rows of accepted ones."""
        return self.data_dir / "quarantine"

    @property
    def catalog_path(self) -> Path:
        """SQLite catalog of the files received."""
        return self.data_dir / "catalogue.sqlite"

    @property
    def home_id_path(self) -> Path:
        """Identifier of this data directory, which the stamps of its month files contain."""
        return self.data_dir / "home_id"

    @property
    def stamp_cache_path(self) -> Path:
        """Cache of the stamps of month files in an object store; can be deleted at any time."""
        return self.data_dir / "stamps.sqlite"

    @property
    def fetch_dir(self) -> Path:
        """Checkpoint of an unfinished fetch, and the number of requests made."""
        return self.data_dir / "fetch"

    @property
    def models_dir(self) -> Path:
        """Stored models, their metadata and the audit log."""
        return self.home_dir / "models"

    @property
    def reports_dir(self) -> Path:
        """Reports of validation, drift, forecasts and alerts."""
        return self.home_dir / "reports"

    @property
    def predictions_dir(self) -> Path:
        """Predictions of the service, one file per day."""
        return self.data_dir / "predictions"

    @property
    def logs_dir(self) -> Path:
        """Log files of the service and the commands."""
        return self.home_dir / "logs"

    @property
    def validation_dir(self) -> Path:
        """One JSON report per file."""
        return self.reports_dir / "validation"

    @property
    def incidents_path(self) -> Path:
        """Open incidents, pending and recent notifications; written only by `monitoring/alerting`."""
        return self.reports_dir / "incidents.json"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance: runs, events and schedules."""
        return self.home_dir / ".dagster"

    @property
    def lock_path(self) -> Path:
        """Lock file of runs that change tables or models in this data directory."""
        return self.dagster_home / "run.lock"
