from .candidates import CandidateIOManager as CandidateIOManager
from .champion import BacktestIOManager as BacktestIOManager, ChampionIOManager as ChampionIOManager
from .parquet import (
    SOURCES as SOURCES,
    PanderaParquetIOManager as PanderaParquetIOManager,
    WrittenMonths as WrittenMonths,
    table_failures as table_failures,
)
