from .accuracy import accuracy_assets as accuracy_assets
from .alerts import alert_assets as alert_assets, log_alerts as log_alerts
from .cleaned import cleaned_assets as cleaned_assets
from .drift import drift_assets as drift_assets
from .features import feature_assets as feature_assets
from .fetching import fetch_schedule as fetch_schedule
from .forecasts import forecast_assets as forecast_assets
from .labels import label_assets as label_assets
from .models import model_assets as model_assets
from .predictions import prediction_assets as prediction_assets
from .raw import RAW_FILES as RAW_FILES, raw_assets as raw_assets
from .stored_bytes import stored_bytes_assets as stored_bytes_assets, weekly_verify as weekly_verify
