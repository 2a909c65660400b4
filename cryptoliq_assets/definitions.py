"""Entry point of `workspace.yaml`: the definitions of the data directory that the environment names.

Nothing else belongs here; `orchestration/definitions.py` builds the definitions.
"""

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration import build_definitions

defs = build_definitions(Settings())
