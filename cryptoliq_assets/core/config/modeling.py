"""Evaluation of models."""

import datetime as dt

from pydantic import Field

from cryptoliq_assets.core.config.section import SettingsSection


class CrossValidationSettings(SettingsSection):
    """Number of rolling-origin folds."""

    n_splits: int = Field(4, ge=1, le=12, description="Number of rolling-origin folds.")
    first_test_date: dt.date | None = Field(
        None, description="First test date of the first fold; default: after the first third of the dates."
    )
    min_train_dates: int = Field(
        40, ge=10, description="With fewer labelled dates than this, training uses folds by coin."
    )


class IntervalSettings(SettingsSection):
    """Forecast intervals."""

    coverage: float = Field(0.9, gt=0.5, lt=1, description="Nominal coverage of forecast intervals.")
