from .auth import (
    generate_key as generate_key,
    hash_key as hash_key,
    is_loopback as is_loopback,
    parse_key_digests as parse_key_digests,
)
from .body_limits import (
    CSV as CSV,
    JSON as JSON,
    MAX_REQUEST_BYTES as MAX_REQUEST_BYTES,
    MAX_ROW_BYTES as MAX_ROW_BYTES,
    BodyTooLargeError as BodyTooLargeError,
    UnsupportedMediaTypeError as UnsupportedMediaTypeError,
    check_media_type as check_media_type,
    read_body as read_body,
)
from .daemon_threads import run_in_daemon_thread as run_in_daemon_thread
from .http_protocol import HttpProtocol as HttpProtocol
from .middleware import (
    OPEN_PATHS as OPEN_PATHS,
    RequestMiddleware as RequestMiddleware,
    client_identity as client_identity,
)
from .rate_limit import TokenBucketLimiter as TokenBucketLimiter
