"""From files and the CoinGecko API to accepted raw rows.

    csv        bytes to typed cells and validated rows
    reports    the validation report of a file and of a command
    parsing    units, derived columns, one file or many at once
    quality    comparison with earlier snapshots, and implausible content
    landing    drop folder, catalog, archive, quarantine
    coingecko  the API client

This package has no code of its own. Imputation belongs in `cleaning`.
"""

__all__: list[str] = []
