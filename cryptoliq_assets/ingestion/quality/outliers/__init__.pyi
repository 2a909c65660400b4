from .detection import MIN_COINS as MIN_COINS, OUTLIER_BOUNDS as OUTLIER_BOUNDS, find_outliers as find_outliers
