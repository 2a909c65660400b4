from .audit_log import PROMOTION as PROMOTION, ROLLBACK as ROLLBACK, sha256_of as sha256_of
from .candidates import (
    Candidate as Candidate,
    check_candidate as check_candidate,
    load_candidate as load_candidate,
    load_value as load_value,
    save_candidate as save_candidate,
    save_value as save_value,
)
from .current_pointer import LINK as LINK, POINTER_FILE as POINTER_FILE
from .metadata import model_metadata as model_metadata
from .metadata_schema import check_fields as check_fields
from .model_registry import ModelStore as ModelStore, open_model_store as open_model_store
from .promotion import Decision as Decision, evaluate_candidates as evaluate_candidates
from .serialization import (
    ModelRejectedError as ModelRejectedError,
    library_versions as library_versions,
    load_model as load_model,
    to_bytes as to_bytes,
)
from .stored_models import LoadedModel as LoadedModel
