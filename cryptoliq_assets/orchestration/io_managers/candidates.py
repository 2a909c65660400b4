"""Candidates and the leaderboard between the steps of a training run: sealed files under models/candidates/.

Read back through the one loader for all (`modeling/registry/candidates.py`). What is served lies in the model store (`modeling/registry/model_registry.py`).
"""

from pathlib import Path
from typing import Any

import dagster as dg

from cryptoliq_assets.core import Settings


class CandidateIOManager(dg.IOManager):
    """A candidate as its three files, any other value as sealed JSON; each file whole or absent."""

    def __init__(self, folder: Path, *, signing_key: bytes | None = None) -> None:
        # No configuration of Dagster's: the UI would show the key.
        self.folder = folder
        self._key = signing_key

    @classmethod
    def from_settings(cls, settings: Settings) -> "CandidateIOManager":
        key = settings.signing_key.get_secret_value().encode("utf-8") if settings.signing_key else None
        return cls(settings.models_dir / "candidates", signing_key=key)

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        from cryptoliq_assets.modeling.registry import Candidate, save_candidate, save_value

        keep = save_candidate if isinstance(obj, Candidate) else save_value
        path = keep(self.folder, context.asset_key.path[-1], obj, signing_key=self._key)
        context.add_output_metadata({"path": dg.MetadataValue.path(str(path))})

    def load_input(self, context: dg.InputContext) -> Any:
        from cryptoliq_assets.modeling.registry import ModelRejectedError, load_candidate, load_value

        upstream = context.upstream_output
        assert upstream is not None, "candidates are loaded from assets only"
        name = upstream.asset_key.path[-1]
        load = load_value if name == _LEADERBOARD else load_candidate
        try:
            return load(self.folder, name, signing_key=self._key)
        except ModelRejectedError as error:
            raise dg.Failure(error.reason, allow_retries=False) from error


_LEADERBOARD = "leaderboard"
