from .candidates import CandidateIOManager as CandidateIOManager
from .parquet import COLUMNS as COLUMNS, SOURCES as SOURCES, PanderaParquetIOManager as PanderaParquetIOManager
