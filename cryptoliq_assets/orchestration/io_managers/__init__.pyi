from .candidates import CandidateIOManager as CandidateIOManager
from .champion import BacktestIOManager as BacktestIOManager, ChampionIOManager as ChampionIOManager
from .parquet import COLUMNS as COLUMNS, SOURCES as SOURCES, PanderaParquetIOManager as PanderaParquetIOManager
