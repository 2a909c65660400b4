"""The client of s3://, with limits."""

from typing import Any

import s3fs
from botocore.exceptions import ClientError
from s3fs.core import _error_wrapper, set_custom_error_handler

from cryptoliq_assets.core.object_store.errors import CallLimits
from cryptoliq_assets.core.object_store.limited_calls import limit_calls


class LimitedS3FileSystem(s3fs.S3FileSystem):  # type: ignore[misc]
    """s3fs with a limit for each call. botocore's own retries are off: they would multiply with those of s3fs.

    Args:
        limits: Limits of each call.
        use: What is stored at the location; each use has a client of its own.
        config_kwargs: Further options of botocore's client.
        options: Further options of s3fs.
    """

    # limit_calls adds the public calls.
    mirror_sync_methods = False

    def __init__(
        self,
        *args: Any,
        limits: CallLimits = CallLimits(),
        use: str = "",
        config_kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        config = {
            "connect_timeout": limits.timeout_seconds,
            "read_timeout": limits.timeout_seconds,
            "retries": {"total_max_attempts": 1},
            **(config_kwargs or {}),
        }
        super().__init__(*args, config_kwargs=config, **options)
        self.retries = limits.attempts
        limit_calls(self, limits)

    async def _cat_file(self, path: str, *args: Any, start: int | None = None, **options: Any) -> Any:
        # Without a HEAD before each GET: in one stream, and the last bytes by a range without a start.
        options["max_concurrency"] = 1
        if start is None or start >= 0:
            return await super()._cat_file(path, *args, start=start, **options)
        bucket, key, _ = self.split_path(path)

        async def read() -> Any:
            try:
                answer = await self._call_s3("get_object", Bucket=bucket, Key=key, Range=f"bytes={start}")
            except OSError as error:
                # An empty object has no last bytes.
                if "InvalidRange" in str(error.__cause__):
                    return b""
                raise
            try:
                return await answer["Body"].read()
            finally:
                answer["Body"].close()

        return await _error_wrapper(read, retries=self.retries)

    async def _lsdir(self, *args: Any, **options: Any) -> Any:
        # The only call that s3fs does not repeat itself.
        return await _error_wrapper(super()._lsdir, args=args, kwargs=options, retries=self.retries)


def _is_server_error(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return bool(status >= 500)


set_custom_error_handler(_is_server_error)
