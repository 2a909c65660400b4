"""Errors of a cluster, each with a message of one sentence."""

from importlib.util import find_spec

_PACKAGES = ("dask", "distributed")


class ClusterError(RuntimeError):
    """The cluster cannot be used, or lost a worker; the message names the scheduler or the worker."""


class TaskCancelledError(RuntimeError):
    """The run that submitted a task does not wait for it any more, so the task must not write."""


def explain_missing_dask() -> str | None:
    """Explain that Dask is not installed, with the command that installs it; None if it is. Nothing is imported."""
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if not missing:
        return None
    return f"it needs {' and '.join(missing)}, not installed here: pip install '.[cluster]' in cryptoliq's clone"
