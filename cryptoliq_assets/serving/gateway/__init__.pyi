from .auth import digest_of as digest_of, digests_in as digests_in, is_loopback as is_loopback, new_key as new_key
from .body_limits import (
    CSV as CSV,
    JSON as JSON,
    ONE_REQUEST_BYTES as ONE_REQUEST_BYTES,
    ROW_BYTES as ROW_BYTES,
    BodyTooLarge as BodyTooLarge,
    MediaRefused as MediaRefused,
    body_of as body_of,
    media_type as media_type,
)
from .daemon_threads import in_daemon_thread as in_daemon_thread
from .http_protocol import Protocol as Protocol
from .middleware import (
    OPEN_PATHS as OPEN_PATHS,
    RequestMiddleware as RequestMiddleware,
    client_identity as client_identity,
)
from .rate_limit import TokenBucketLimiter as TokenBucketLimiter
