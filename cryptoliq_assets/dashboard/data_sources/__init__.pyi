from .base import ForecastFile as ForecastFile, HomeSource as HomeSource, Source as Source
from .selection import select_source as select_source
