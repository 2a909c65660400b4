"""The I/O manager of candidates and the leaderboard: files with checksums under models/candidates/.

They are read through `modeling/registry/candidates.py`. The served model is read by `io_managers/champion.py`.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from cryptoliq_assets.core import Settings

_LEADERBOARD = "leaderboard"


class CandidateIOManager(dg.IOManager):
    """A candidate as its three files, any other value as JSON with a checksum; each write is complete or absent."""

    def __init__(self, folder: Path, *, signing_key: bytes | None = None) -> None:
        # Not a field of Dagster's configuration: the UI would show the key.
        self.folder = folder
        self._key = signing_key

    @classmethod
    def from_settings(cls, settings: Settings) -> "CandidateIOManager":
        """Configure from settings."""
        key = settings.signing_key.get_secret_value().encode("utf-8") if settings.signing_key else None
        return cls(settings.candidates_dir, signing_key=key)

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write a candidate or another value, and attach its path as metadata."""
        from cryptoliq_assets.modeling.registry import Candidate, save_candidate, save_value

        save = save_candidate if isinstance(obj, Candidate) else save_value
        path = save(self.folder, context.asset_key.path[-1], obj, signing_key=self._key)
        context.add_output_metadata({"path": dg.MetadataValue.path(str(path))})

    def load_input(self, context: dg.InputContext) -> Any:
        """Load a candidate or the leaderboard.

        Raises:
            dagster.Failure: The files are missing, damaged or not of this training run.
        """
        from cryptoliq_assets.modeling.registry import ModelRejectedError, load_candidate, load_value

        upstream = context.upstream_output
        assert upstream is not None, "candidates are loaded from assets only"
        name = upstream.asset_key.path[-1]
        load = load_value if name == _LEADERBOARD else load_candidate
        try:
            return load(self.folder, name, signing_key=self._key)
        except ModelRejectedError as error:
            raise dg.Failure(error.reason, allow_retries=False) from error
