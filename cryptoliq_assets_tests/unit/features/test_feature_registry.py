"""Feature registry: declarations and computations are compared at import."""

import pytest

from cryptoliq_assets.features import COMPUTATIONS, check_computations
from cryptoliq_assets.schemas import FEATURE_NAMES, FEATURES, Feature, Window, mean_feature, windows_of
from cryptoliq_assets.schemas.feature_registry import check_features


def declare(name: str = "spread_log", **fields: object) -> Feature:
    return Feature(name, "Meaning.", "ratio", ("price",), **fields)


def test_every_feature_has_a_window_or_a_computation():
    with_window = {feature.name for feature in FEATURES if feature.window}
    assert with_window | set(COMPUTATIONS) == set(FEATURE_NAMES)
    assert not with_window & set(COMPUTATIONS)


def test_a_feature_without_a_computation_names_the_line_to_add():
    with pytest.raises(
        ValueError, match=r'add the line `"spread_log": lambda inputs: …,` to COMPUTATIONS in .*computations.py'
    ):
        check_computations([*FEATURES, declare()], COMPUTATIONS)


def test_a_computation_without_a_feature_names_the_line_to_add():
    with pytest.raises(
        ValueError, match=r'add the line `Feature\("spread_log", .*` to FEATURES in .*feature_registry.py'
    ):
        check_computations(FEATURES, [*COMPUTATIONS, "spread_log"])


def test_a_misnamed_window_feature_is_rejected():
    feature = declare(window=Window("mean", "turnover_log", 14), looks_back=13)
    with pytest.raises(ValueError, match="has the window turnover_log_mean_14d: name it so"):
        check_computations([*FEATURES, feature], COMPUTATIONS)


def test_two_features_of_one_name_are_rejected():
    with pytest.raises(ValueError, match="two features are named 'price_log'"):
        check_features([*FEATURES, declare("price_log")])


def test_a_feature_cannot_look_back_beyond_the_history():
    with pytest.raises(ValueError, match="looks back 90 days, but only 89 days before a row are read"):
        declare(looks_back=90, no_history_value=0.0)


def test_a_feature_that_looks_back_needs_a_no_history_value():
    with pytest.raises(ValueError, match=r"add no_history_value=… to its entry in .*feature_registry.py"):
        declare(looks_back=5)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (("mean", "price_log", 7), "unknown base series 'price_log'"),
        (("std", "turnover_log", 1), "a std over 1 days does not exist; use at least 2"),
        (("mean", "turnover_log", 0), "a mean over 0 days does not exist; use at least 1"),
        (("lag", "turnover_log", 1, True), "a lag relative to the market is not computed"),
    ],
)
def test_a_window_that_no_kernel_computes_is_rejected(window: tuple, message: str):
    with pytest.raises(ValueError, match=message):
        Window(*window)


def test_windows_read_their_days_from_the_registry():
    assert windows_of("turnover_log", "mean") == (3, 7, 30, 90)
    assert windows_of("turnover_log", "lag") == ()
    assert windows_of("turnover_log", "mean", relative=True) == (7,)
    feature = mean_feature("turnover_log", 14)
    assert (feature.name, feature.looks_back, feature.added) == ("turnover_log_mean_14d", 13, True)
