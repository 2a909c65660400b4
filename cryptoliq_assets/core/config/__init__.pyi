from .renamed import RENAMED_SETTINGS as RENAMED_SETTINGS, variable_name as variable_name
from .section import SettingsSection as SettingsSection
from .settings import Settings as Settings
