"""Entry point of `workspace.yaml`: the definitions of the home that the environment names.

Nothing else belongs here; the definitions are put together in `orchestration/definitions.py`.
"""

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration import build_definitions

defs = build_definitions(Settings())
