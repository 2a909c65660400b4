from .renamed import variable_name as variable_name
from .settings import Settings as Settings
