from .accuracy import accuracy_checks as accuracy_checks
from .cleaned import cleaned_checks as cleaned_checks
from .drift import drift_checks as drift_checks
from .features import feature_checks as feature_checks
from .forecasts import forecast_checks as forecast_checks
from .freshness import freshness_checks as freshness_checks, freshness_evaluations as freshness_evaluations
from .labels import label_checks as label_checks
from .models import model_checks as model_checks
from .predictions import prediction_checks as prediction_checks
from .raw import raw_checks as raw_checks
