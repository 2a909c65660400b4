from .imputation import (
    clean_price_range as clean_price_range,
    clean_snapshots as clean_snapshots,
    derive_columns as derive_columns,
)
