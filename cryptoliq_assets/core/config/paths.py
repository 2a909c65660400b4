"""The paths of a data directory: every file and folder has one name here.

What must outlive the machine is at `storage.files_url` where that is set, and below the data directory otherwise. All else stays on the
machine: it can be lost with it. Creating folders belongs in `core/home.py`.
"""

from pathlib import Path

from cryptoliq_assets.core.config.storage import StorageSettings
from cryptoliq_assets.core.locations import Location, resolve_location


class HomePaths:
    """Paths of one data directory; `Settings` inherits them."""

    home_dir: Path
    storage: StorageSettings

    @property
    def files_location(self) -> Location | None:
        """Location of the files that outlive the machine; None if that is the data directory."""
        url = self.storage.files_url
        return None if url is None else resolve_location(url, limits=self.storage.limits, use="files")

    def _durable(self, name: str, default: Path) -> Location:
        url = self.storage.files_url
        return default if url is None else resolve_location(url, name, limits=self.storage.limits, use="files")

    @property
    def data_dir(self) -> Path:
        """Everything received and computed: the drop folder, the catalog and the tables."""
        return self.home_dir / "data"

    @property
    def raw_dir(self) -> Path:
        """The drop folder."""
        return self.data_dir / "raw"

    @property
    def archive_dir(self) -> Location:
        """A copy of every accepted file."""
        return self._durable("archive", self.data_dir / "archive")

    @property
    def quarantine_dir(self) -> Location:
        """Every rejected file, and the rejected rows of accepted ones."""
        return self._durable("quarantine", self.data_dir / "quarantine")

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
    def models_dir(self) -> Location:
        """Stored models, their metadata and the audit log."""
        return self._durable("models", self.home_dir / "models")

    @property
    def candidates_dir(self) -> Path:
        """Candidates between training and promotion; a lost one is trained again."""
        return self.home_dir / "models" / "candidates"

    @property
    def scratch_dir(self) -> Path:
        """Files of a training while it runs."""
        return self.home_dir / "models"

    @property
    def reports_dir(self) -> Location:
        """Reports of validation, drift, forecasts and alerts."""
        return self._durable("reports", self.home_dir / "reports")

    @property
    def predictions_dir(self) -> Path:
        """Predictions of this machine, one file per day."""
        return self.data_dir / "predictions"

    @property
    def shared_predictions_dir(self) -> Location | None:
        """Predictions of all machines, one folder per day; None if the files are in the data directory."""
        return None if self.storage.files_url is None else self._durable("predictions", self.predictions_dir)

    @property
    def logs_dir(self) -> Path:
        """Log files of the service and the commands."""
        return self.home_dir / "logs"

    @property
    def validation_dir(self) -> Location:
        """One JSON report per file."""
        return self.reports_dir / "validation"

    @property
    def incidents_path(self) -> Location:
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
