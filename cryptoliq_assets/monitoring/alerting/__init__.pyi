from .channels import Message as Message, channels_of as channels_of, send_within as send_within
from .dispatch import (
    AlertRun as AlertRun,
    AlertState as AlertState,
    read_state as read_state,
    update_incidents as update_incidents,
)
from .incident_actions import (
    NoSuchIncident as NoSuchIncident,
    actor as actor,
    close_incident as close_incident,
    silence_kind as silence_kind,
)
from .incidents import Incident as Incident
