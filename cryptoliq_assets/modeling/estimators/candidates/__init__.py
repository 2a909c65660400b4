"""One module per candidate: a regressor and the forecaster that registers it.

To add a model, add a module here; `modeling.estimators.registry` finds it and checks its declaration at import.
Code that several candidates share belongs in `modeling.estimators`.
"""

__all__: list[str] = []
