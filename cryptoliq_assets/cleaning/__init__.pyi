from .imputation import clean_snapshots as clean_snapshots
