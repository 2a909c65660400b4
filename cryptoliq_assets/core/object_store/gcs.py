"""The client of gs://, with limits."""

from typing import Any

import gcsfs
from aiohttp import ClientTimeout
from gcsfs.retry import retry_request

from cryptoliq_assets.core.object_store.errors import CallLimits
from cryptoliq_assets.core.object_store.limited_calls import limit_calls

# gcsfs repeats a request six times; what it repeats is the function below its decorator.
_send_request = gcsfs.GCSFileSystem._request.__wrapped__


class LimitedGCSFileSystem(gcsfs.GCSFileSystem):  # type: ignore[misc]
    """gcsfs with a limit for each call.

    Args:
        limits: Limits of each call.
        use: What is stored at the location; each use has a client of its own.
        options: Further options of gcsfs.
    """

    # limit_calls adds the public calls.
    mirror_sync_methods = False

    def __init__(self, *args: Any, limits: CallLimits = CallLimits(), use: str = "", **options: Any) -> None:
        seconds = limits.timeout_seconds
        timeout = ClientTimeout(total=None, connect=seconds, sock_connect=seconds, sock_read=seconds)
        super().__init__(*args, requests_timeout=timeout, **options)
        self._send_request = retry_request(retries=limits.attempts)(_send_request)
        limit_calls(self, limits)

    async def _request(self, *args: Any, **options: Any) -> Any:
        return await self._send_request(self, *args, **options)
