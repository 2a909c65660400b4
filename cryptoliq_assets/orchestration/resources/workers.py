"""The workers of the scheduler of `CRYPTOLIQ_DASK_ADDRESS`, for the assets that compute tables and train models."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import PrivateAttr

from cryptoliq_assets.core import Settings
from cryptoliq_assets.core.cluster import Cluster, open_cluster


class Workers(dg.ConfigurableResource):
    """Connected during a run. Without an address there are none: the run computes in its own process, and Dask is not imported."""

    # Without secrets: the UI shows the configuration of resources.
    settings: dict[str, Any]
    _cluster: Cluster | None = PrivateAttr(default=None)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Workers":
        """Configure from settings."""
        return cls(settings=settings.public_values())

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["Workers", None, None]:
        """Connect to the scheduler; a run whose scheduler does not answer fails before its first step."""
        address = Settings.model_validate(self.settings).dask_address
        if address is None:
            yield self
            return
        with open_cluster(address) as cluster:
            if context.log:
                names = ", ".join(sorted(cluster.workers().values()))
                context.log.info(f"computing on the workers of {address}: {names}")
            self._cluster = cluster
            try:
                yield self
            finally:
                self._cluster = None

    @property
    def cluster(self) -> Cluster | None:
        """The workers; None where this process computes."""
        return self._cluster
