from .renamed import RENAMED as RENAMED, variable_of as variable_of
from .section import SettingsSection as SettingsSection
from .settings import Settings as Settings
