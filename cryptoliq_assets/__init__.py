"""Forecast the liquidity of crypto coins from daily market snapshots.

Packages are layers: each one imports only from packages above it in this list.

    core           settings, calendar, files, statistics; knows nothing of the domain
    schemas        Pandera models of every table, and the feature registry
    simulation     synthetic markets for demos and tests
    storage        month partitions in Parquet, with checksums and validation
    ingestion      CSV files and the CoinGecko API to accepted rows
    cleaning       gaps and outliers of accepted rows
    labels         liquidity scores and targets
    features       model inputs, offline and online
    modeling       estimators, evaluation, model registry
    forecasting    forecasts of the newest snapshot, and their realized accuracy
    monitoring     findings about data, models and service; alerts
    serving        predictions over HTTP and for CSV files
    dashboard      the Streamlit app
    orchestration  Dagster assets, checks, sensors and jobs
    cli            the `cryptoliq` command

Only `orchestration` and `cli` import Dagster.
"""

__all__: list[str] = []
