"""Errors as the dashboard shows them: a title, what to do, and the rejected fields.

Translate further exceptions of earlier layers here. Texts of a single page belong in the page.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from cryptoliq_assets.core import StoreUnavailableError
from cryptoliq_assets.modeling.registry import ModelRejectedError
from cryptoliq_assets.storage import InvalidTableError


class UserFacingError(Exception):
    """An error that the dashboard shows to its user.

    Args:
        title: What went wrong, in a few words.
        detail: The reason, or what to do about it.
        fields: Rejected fields as (field, reason); the field is empty for a reason without a field.
    """

    def __init__(self, title: str, detail: str = "", fields: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(": ".join(part for part in (title, detail) if part))
        self.title, self.detail, self.fields = title, detail, fields


@contextmanager
def user_facing_errors() -> Iterator[None]:
    """Translate exceptions from tables, models and files.

    Raises:
        UserFacingError: For invalid rows and files, rejected models, damaged tables, unreadable files and stores that do not answer.
    """
    from cryptoliq_assets.serving import DateRejectedError, NotReadyError, list_field_errors
    from cryptoliq_assets.serving.csv import InputRejectedError

    try:
        yield
    except ValidationError as error:
        fields = tuple((problem["field"], problem["message"]) for problem in list_field_errors(error))
        raise UserFacingError("The row was rejected", "", fields) from error
    except DateRejectedError as error:
        raise UserFacingError("The row was rejected", str(error), (("date", str(error)),)) from error
    except NotReadyError as error:
        raise UserFacingError("No model is ready to forecast", str(error)) from error
    except ModelRejectedError as error:
        raise UserFacingError(
            "The model was rejected",
            f"{error.reason}. Run `cryptoliq models verify` to check each model; restore the model or roll back.",
        ) from error
    except InvalidTableError as error:
        raise UserFacingError(
            "A table cannot be read", f"{error}\nRun `cryptoliq materialize` to recompute stale months."
        ) from error
    except InputRejectedError as error:
        raise UserFacingError("The file was rejected", str(error)) from error
    except StoreUnavailableError as error:
        raise UserFacingError("A store does not answer", f"{error}; `cryptoliq status` names it") from error
    except OSError as error:
        # An error about the content of a file has no filename: its message names the path.
        path = f": {error.filename}" if error.filename else ""
        raise UserFacingError("A file cannot be read or written", f"{error.strerror or error}{path}") from error
