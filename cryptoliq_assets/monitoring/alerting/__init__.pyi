from .alert_state import AlertState as AlertState, read_state as read_state
from .channels import (
    Message as Message,
    read_channels as read_channels,
    send_within as send_within,
)
from .dispatch import AlertRun as AlertRun, update_incidents as update_incidents
from .incident_actions import (
    UnknownIncidentError as UnknownIncidentError,
    close_incident as close_incident,
    current_user as current_user,
    silence_kind as silence_kind,
)
from .incidents import Incident as Incident
