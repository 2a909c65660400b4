from .base import ForecastFile as ForecastFile, HomeSource as HomeSource, Source as Source
from .selection import source_of as source_of
