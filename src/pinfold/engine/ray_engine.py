"""The workers of a job as Ray actors, on this machine or on many. What they send goes from worker to worker.

Ray: Moritz et al., "Ray: A Distributed Framework for Emerging AI Applications", OSDI 2018.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from pinfold.engine.interface import NOTHING, Job, Options
from pinfold.engine.ray_cluster import connected, first_line, shared_memory
from pinfold.engine.ray_worker import Worker
from pinfold.errors import EngineError, WorkerLost
from pinfold.kernels.parallel import n_threads

DEADLINE = 6 * 3600.0  # seconds for one step; a worker that dies is noticed at once, one that hangs only so
START_SECONDS = 180.0  # for a worker to start on a busy machine
FORGET_SECONDS = 10.0  # for a worker to say that it is still there and has nothing to do


class RayEngine:
    """An `Engine` whose workers are processes, spread over the machines of a cluster."""

    def __init__(
        self, job: Job, size: int, table: str, *, address: str | None = None, threads: int | None = None,
        deadline: float = DEADLINE, start_seconds: float = START_SECONDS,
    ) -> None:  # fmt: skip
        """`size` workers that find their steps under the name `table` each on its own machine.

        Args:
            job: its paths must name the same files on all machines.
            size: how many workers.
            table: module:NAME of a `Steps`, such as "pinfold.engine.steps:EMBED".
            address: host:port of a cluster's head; None for a cluster on this machine that ends with `close`.
            threads: of each worker, and processors that Ray sets aside for it; None: on this machine an equal part
                of all, on a cluster 1.
            deadline: seconds after which a worker that does not answer is given up.
            start_seconds: seconds after which one that does not start is.

        Raises:
            ConfigError: Ray is not installed or too old, or the address is none.
            EngineError: the cluster cannot be reached, or has no room for so many workers.
        """
        self.size = size
        self.moved: Counter[str] = Counter()
        self._job, self._table, self._deadline, self._start_seconds = job, table, deadline, start_seconds
        self._threads = threads or (1 if address else max(1, n_threads() // size))
        self._actors: dict[int, Any] = {}
        self._open = ExitStack()
        store = min(size * job.memory, shared_memory() * 8 // 10)
        try:
            self._ray = self._open.enter_context(connected(address, size * self._threads, store))
            self._open.callback(self._dismiss)
            self._start(range(size))
        except BaseException:
            self._open.close()
            raise

    def run(self, step: str, options: Options = NOTHING) -> list[Any]:
        """Every worker does this step."""
        return self._answers(step, [actor.run.remote(step, options) for actor in self._workers()])

    def exchange(self, send: str, receive: str, options: Options = NOTHING) -> list[Any]:
        """Every worker sends one part to each, and takes in what was sent to it; read-only, from shared memory."""
        actors = self._workers()
        sent = [actor.send.options(num_returns=self.size + 1).remote(send, options) for actor in actors]
        self.moved[send] += sum(self._answers(send, [refs[0] for refs in sent]))
        taken = [
            actor.receive.remote(receive, options, *(refs[rank + 1] for refs in sent))
            for rank, actor in enumerate(actors)
        ]
        return self._answers(receive, taken)

    def revive(self) -> None:
        """Start lost workers anew, and those that are busy with what nobody waits for; the others forget."""
        try:
            asked = {rank: actor.forget.remote() for rank, actor in self._actors.items()}
            refs = [*asked.values()]
            there = self._ray.wait(refs, num_returns=len(refs), timeout=FORGET_SECONDS)[0] if refs else []
        except Exception as error:  # Ray raises many kinds
            raise EngineError(f"the Ray cluster is gone: {first_line(error)}") from error
        living = {rank for rank, ref in asked.items() if ref in there and self._lives(ref)}
        self._start(rank for rank in range(self.size) if rank not in living)

    def close(self) -> None:
        """Let the workers go, and with them the cluster if it is this engine's own."""
        self._open.close()

    def processes(self) -> list[int]:
        """The workers' process ids, each on its own machine."""
        return self._answers("ready", [actor.ready.remote() for actor in self._workers()])

    def _workers(self) -> list[Any]:
        if len(self._actors) < self.size:
            raise EngineError("this engine is closed, or not all of its workers are there; revive it, or make another")
        return [self._actors[rank] for rank in range(self.size)]

    def _start(self, ranks: Iterable[int]) -> None:
        """New workers; Ray may put one on a machine that is gone without a word, so some are started twice."""
        left, until = list(ranks), time.monotonic() + self._start_seconds
        while left:
            lost = self._try(left, until)
            if lost and time.monotonic() > until:
                raise EngineError("; ".join(lost.values()))
            left = list(lost)
            time.sleep(1.0 if lost else 0.0)

    def _try(self, ranks: Sequence[int], until: float) -> dict[int, str]:
        """Start each anew, spread over the machines; those that were lost at once, and why."""
        made = self._ray.remote(Worker).options(
            num_cpus=self._threads, scheduling_strategy="SPREAD", max_restarts=0, max_task_retries=0
        )
        refs = {}
        for rank in ranks:
            self._kill(rank)
            self._actors[rank] = made.remote(rank, self.size, self._job, self._table, self._threads)
            refs[rank] = self._actors[rank].ready.remote()
        _, late = self._ray.wait([*refs.values()], num_returns=len(refs), timeout=max(until - time.monotonic(), 0.1))
        if late:
            for rank in [rank for rank, ref in refs.items() if ref in late]:
                self._kill(rank)
            raise EngineError(
                f"{len(late)} of {self.size} workers have not started in {self._start_seconds:.0f} s; each wants "
                f"{self._threads} processors, and the cluster has {self._ray.cluster_resources().get('CPU', 0):g} "
                "in all: use fewer --workers, or add machines"
            )
        lost = {}
        for rank, ref in refs.items():
            try:
                self._value("start", rank, ref)
            except WorkerLost as error:
                lost[rank] = str(error)
        return lost

    def _answers(self, step: str, refs: Sequence[Any]) -> list[Any]:
        """What all workers answer; as soon as one is lost, or has failed, nobody waits for the others."""
        until, late = time.monotonic() + self._deadline, list(refs)
        found: dict[int, Any] = {}
        while late:
            there, late = self._ray.wait(late, timeout=max(until - time.monotonic(), 0.0))
            if not there:
                rank = refs.index(late[0])
                raise WorkerLost(
                    f"worker {rank + 1} of {self.size} has not answered step {step!r} in {self._deadline:.0f} s"
                )
            for ref in there:
                rank = refs.index(ref)
                found[rank] = self._value(step, rank, ref)
        return [found[rank] for rank in range(self.size)]

    def _value(self, step: str, rank: int, ref: Any) -> Any:
        who = f"worker {rank + 1} of {self.size}, step {step!r}"
        kinds = self._ray.exceptions
        try:
            answer = self._ray.get(ref)
        except kinds.RayTaskError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, kinds.RayError):  # what it was sent is gone with its sender
                raise WorkerLost(f"{who}: {first_line(cause)}") from error
            raise EngineError(f"{who} failed: {first_line(cause or error)}") from error
        except kinds.RayError as error:
            raise WorkerLost(f"{who}: the worker is lost: {first_line(error)}") from error
        return answer.given(who)

    def _lives(self, ref: Any) -> bool:
        with suppress(self._ray.exceptions.RayError):
            self._ray.get(ref)
            return True
        return False

    def _kill(self, rank: int) -> None:
        actor = self._actors.pop(rank, None)
        if actor is not None:
            with suppress(Exception):  # it is dead, or Ray is: either is what is wanted
                self._ray.kill(actor, no_restart=True)

    def _dismiss(self) -> None:
        for rank in range(self.size):
            self._kill(rank)
