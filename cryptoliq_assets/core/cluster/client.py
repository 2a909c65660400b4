"""The client of a Dask scheduler: it runs tasks on the workers and fails, instead of waiting, when one of them is lost."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from cryptoliq_assets.core.cluster.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client, Future as TaskFuture

# Time limit for reaching the scheduler, and for its first worker.
CONNECT_SECONDS = 10.0
# Time limit of each further answer of the scheduler.
_ANSWER_SECONDS = 30.0
_POLL_SECONDS = 1.0


@contextmanager
def open_cluster(address: str) -> Iterator["Cluster"]:
    """Connect to a scheduler.

    Args:
        address: Its address, like tcp://10.0.0.5:8786.

    Raises:
        ClusterError: It did not answer within CONNECT_SECONDS, or has no worker.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="cryptoliq")
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"the scheduler {address} of CRYPTOLIQ_DASK_ADDRESS did not answer within {CONNECT_SECONDS:g} s: start it, or unset the "
            "variable to compute in this process"
        ) from error
    try:
        cluster = Cluster(client, address)
        cluster.require_workers()
        yield cluster
    finally:
        # The scheduler may be gone.
        with suppress(OSError, TimeoutError):
            client.close(timeout=2)


class Cluster:
    """A scheduler and its workers.

    Args:
        client: Dask's client, connected.
        address: Address of the scheduler.
    """

    def __init__(self, client: "Client", address: str) -> None:
        self.client, self.address = client, address

    def __repr__(self) -> str:
        return f"Cluster({self.address})"

    def workers(self) -> dict[str, str]:
        """Return the names of the workers by address.

        Raises:
            ClusterError: The scheduler is gone, or does not answer.
        """
        try:
            identity = self.client.sync(self.client.scheduler.identity, n_workers=-1, callback_timeout=_ANSWER_SECONDS)
        except (OSError, TimeoutError, CancelledError) as error:
            raise self._lost_scheduler() from error
        return {address: str(worker["name"]) for address, worker in identity["workers"].items()}

    def require_workers(self) -> dict[str, str]:
        """Return the names of the workers by address; waits for the first one.

        Raises:
            ClusterError: There is none within CONNECT_SECONDS.
        """
        until = time.monotonic() + CONNECT_SECONDS
        while not (workers := self.workers()):
            if time.monotonic() > until:
                raise ClusterError(
                    f"the scheduler {self.address} has no worker: start one with `dask worker {self.address}`"
                )
            time.sleep(0.1)
        return workers

    def run(
        self,
        function: Callable[..., Any],
        calls: Mapping[str, tuple[Any, ...]],
        *,
        on_result: Callable[[str, Any], object] = lambda label, result: None,
    ) -> dict[str, Any]:
        """Call a function on the workers, once per entry; no call is repeated.

        Args:
            function: A function that the workers can import.
            calls: Its arguments by label, which messages name.
            on_result: Receives the label and the result of each call as it ends.

        Returns:
            The results by label.

        Raises:
            ClusterError: A worker left the cluster meanwhile, or the scheduler is gone; the message has its name.
            Exception: What a call raised, with a note of where. Calls that have not begun are cancelled.
        """
        workers = self.require_workers()
        futures = {
            self.client.submit(function, *arguments, key=f"{label} {uuid.uuid4().hex[:8]}", retries=0): label
            for label, arguments in calls.items()
        }
        results: dict[str, Any] = {}
        pending = set(futures)
        try:
            while pending:
                for future in self._wait(pending):
                    pending.remove(future)
                    label = futures[future]
                    results[label] = self._result(future, label)
                    on_result(label, results[label])
                workers = self._check_workers(workers, [futures[future] for future in pending])
        except BaseException:
            # The scheduler may be gone.
            with suppress(OSError, TimeoutError, CancelledError):
                self.client.cancel(list(futures), force=True)
            raise
        return {label: results[label] for label in calls}

    def watch(self, call: Callable[[], Any], label: str) -> Any:
        """Make a call that uses the workers by itself, and fail when one of them is lost: the call might wait for it.

        Args:
            call: The call; it runs in a thread of its own.
            label: What it does, for messages.

        Returns:
            Its result.

        Raises:
            ClusterError: A worker left the cluster meanwhile, or the scheduler is gone.
            Exception: What the call raised.
        """
        workers = self.require_workers()
        result: Future[Any] = Future()

        def make_call() -> None:
            try:
                result.set_result(call())
            # Raised by the thread that waits.
            except BaseException as error:
                result.set_exception(error)

        threading.Thread(target=make_call, name=label, daemon=True).start()
        while True:
            try:
                return result.result(timeout=_POLL_SECONDS)
            except Exception as error:
                ended = result.done()
                try:
                    # A lost worker is the reason for whatever the call raised.
                    workers = self._check_workers(workers, [label])
                except ClusterError as lost:
                    raise lost from error
                if ended:
                    raise

    def _wait(self, pending: "set[TaskFuture]") -> "set[TaskFuture]":
        """Return the calls that have ended; none after _POLL_SECONDS."""
        from distributed import wait

        try:
            with self.client.as_current():
                return set(wait(pending, timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            return set()
        except CancelledError as error:
            raise self._lost_scheduler() from error

    def _result(self, future: "TaskFuture", label: str) -> Any:
        from distributed import KilledWorker

        try:
            error = future.exception(timeout=_ANSWER_SECONDS)
            if error is None:
                return future.result(timeout=_ANSWER_SECONDS)
        except (TimeoutError, CancelledError) as lost:
            raise self._lost_scheduler() from lost
        if isinstance(error, KilledWorker):
            worker = error.last_worker
            raise _lost_worker(str(worker.name), worker.address, label) from error
        # Our own names the worker.
        if not isinstance(error, ClusterError):
            error.add_note(f"on a worker of {self.address}, during {label}")
        raise error

    def _check_workers(self, known: dict[str, str], pending: list[str]) -> dict[str, str]:
        """Return the present workers; a scheduler would repeat the calls of a lost one elsewhere, without saying so."""
        present = self.workers()
        for address, name in known.items():
            if address not in present and pending:
                others = f" and {len(pending) - 1} more" if len(pending) > 1 else ""
                raise _lost_worker(name, address, f"{pending[0]}{others}")
        return present

    def _lost_scheduler(self) -> ClusterError:
        return ClusterError(
            f"the scheduler {self.address} ended or does not answer; what is written stays, and the next run completes the rest"
        )


def _lost_worker(name: str, address: str, label: str) -> ClusterError:
    return ClusterError(
        f"worker {name} at {address} ended during {label} (its log states why; out of memory is the usual reason); what is written "
        "stays, and the next run completes the rest"
    )
