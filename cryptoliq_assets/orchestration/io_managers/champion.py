"""Read-only I/O managers: the champion from the model registry, and the backtest from reports/.

Both are written by their assets, in one atomic step with the files that belong to them.
"""

from typing import TYPE_CHECKING, Any

import dagster as dg

from cryptoliq_assets.core import Settings

if TYPE_CHECKING:
    import pandas as pd

    from cryptoliq_assets.modeling import Champion


class _ReadOnlyIOManager(dg.IOManager):
    """An I/O manager of an asset that stores its own value."""

    def __init__(self, settings: Settings) -> None:
        # Not a field of Dagster's configuration: the UI would show the signing key.
        self._settings = settings

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Store nothing: the asset has written its value."""


class ChampionIOManager(_ReadOnlyIOManager):
    """The current model with its intervals, verified by the model registry."""

    def load_input(self, context: dg.InputContext) -> "Champion | None":
        """Load the champion: the current model, or the newest valid one before it.

        Returns:
            The champion; None before the first promotion.

        Raises:
            dagster.Failure: Models are stored and none of them is valid.
        """
        from cryptoliq_assets.modeling import load_champion
        from cryptoliq_assets.modeling.registry import ModelRejectedError

        try:
            return load_champion(self._settings)
        except ModelRejectedError as error:
            raise dg.Failure(error.reason, allow_retries=False) from error


class BacktestIOManager(_ReadOnlyIOManager):
    """The out-of-fold forecasts of the last training, reports/backtest.parquet."""

    def load_input(self, context: dg.InputContext) -> "pd.DataFrame":
        """Load the backtest with its checksum verified.

        Raises:
            FileNotFoundError: Nothing has been trained yet.
        """
        from cryptoliq_assets.modeling.evaluation import backtest_path, read_backtest

        return read_backtest(backtest_path(self._settings.reports_dir))
