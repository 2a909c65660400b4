"""Base of the sections of the settings."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class SettingsSection(BaseModel):
    """One section of the settings: `CRYPTOLIQ_<SECTION>__<FIELD>`.

    An empty value means that an optional setting is not set. Errors do not repeat the input: it may be a secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_values(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        optional = {name for name, field in cls.model_fields.items() if field.default is None}
        return {name: None if value == "" and name in optional else value for name, value in values.items()}
