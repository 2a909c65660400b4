"""Candidates between their training and the leaderboard: joblib files under models/candidates/.

Scratch of the training runs, read back by the same code that wrote them. What is served lies in the model store
(`models/store.py`), behind its checks.
"""

import io
from pathlib import Path
from typing import Any

import dagster as dg

from cryptoliq_assets.io.files import write_file


class CandidateIOManager(dg.ConfigurableIOManager):
    """One joblib file an asset, whole or absent."""

    folder: str

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        import joblib

        buffer = io.BytesIO()
        joblib.dump(obj, buffer)
        write_file(self._path(context), buffer.getvalue())
        context.add_output_metadata({"path": dg.MetadataValue.path(str(self._path(context)))})

    def load_input(self, context: dg.InputContext) -> Any:
        import joblib

        path = self._path(context.upstream_output)
        if not path.exists():
            raise dg.Failure(f"{path.stem} has not been trained yet ({path} is absent): run the job `train`")
        return joblib.load(path)

    def _path(self, context: dg.OutputContext | None) -> Path:
        assert context is not None, "candidates are loaded from assets only"
        return Path(self.folder) / f"{context.asset_key.path[-1]}.joblib"
