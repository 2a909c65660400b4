"""What goes wrong, for a person: a title, what to do about it, and the fields that were refused."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from cryptoliq_assets.modeling.registry import ModelRejectedError
from cryptoliq_assets.storage import InvalidTableError


class UserFacingError(Exception):
    """What went wrong, for a person; `fields` are (field, what is wrong with it)."""

    def __init__(self, title: str, detail: str = "", fields: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(": ".join(part for part in (title, detail) if part))
        self.title, self.detail, self.fields = title, detail, fields


@contextmanager
def user_facing_errors() -> Iterator[None]:
    """What a home's tables, models and files refuse, as a Problem."""

    from cryptoliq_assets.serving import DateRejectedError, NotReadyError, list_field_errors
    from cryptoliq_assets.serving.csv import InputRejectedError

    try:
        yield
    except ValidationError as error:
        fields = tuple((fault["field"], fault["message"]) for fault in list_field_errors(error))
        raise UserFacingError("The row is refused", "", fields) from error
    except DateRejectedError as error:
        raise UserFacingError("The row is refused", str(error), (("date", str(error)),)) from error
    except NotReadyError as error:
        raise UserFacingError("There is nothing to forecast with", str(error)) from error
    except ModelRejectedError as error:
        raise UserFacingError(
            "The model was refused", f"{error.reason}. `cryptoliq models verify` checks each; restore it or roll back."
        ) from error
    except InvalidTableError as error:
        raise UserFacingError(
            "A table cannot be read", f"{error}\n`cryptoliq materialize` makes stale months anew."
        ) from error
    except InputRejectedError as error:
        raise UserFacingError("The file was refused", str(error)) from error
    except OSError as error:
        # One that was not read for what it is says its path itself.
        where = f": {error.filename}" if error.filename else ""
        raise UserFacingError("A file cannot be read or written", f"{error.strerror or error}{where}") from error
