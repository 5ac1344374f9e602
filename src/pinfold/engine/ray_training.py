"""Training by processes on many machines: this one is the first, Ray starts the others and notices when one dies.

What each of them does, and that the sums are the same, is `training.processes`'; only where they run and how they meet
is other: gradients go by TCP from machine to machine (gloo), unencrypted, as all of Ray's own traffic.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from pinfold.engine.ray_cluster import HOME, LEAST_STORE, connected, first_line
from pinfold.engine.ray_worker import Answer, failure
from pinfold.errors import PinfoldError, TrainingError
from pinfold.kernels.parallel import n_threads
from pinfold.training.processes import ALONE, Group

R = TypeVar("R")

START_SECONDS = 300.0  # for importing torch on a busy machine
MEET_SECONDS = 60.0  # for finding each other once all have started
PATIENCE = timedelta(hours=2)  # with a process that validates, or whose machine is gone without a word
DEATH_SECONDS = 10.0  # after a broken connection, for Ray to say whose
INTERFACE = "GLOO_SOCKET_IFNAME"


def together_on_ray(
    lead: Callable[[Group], R], follow: Callable[[Group], object], processes: int, *, address: str | None = None,
    threads: int | None = None,
) -> R:  # fmt: skip
    """What `lead` returns, run in this process while `processes` - 1 actors run `follow`; as `processes.together`.

    Args:
        lead: anything that can be called.
        follow: a function at the top level of a module that all machines have, or a `functools.partial` of one.
        processes: how many in all; with 1, `lead` is run alone.
        address: host:port of a cluster's head; None for actors on this machine.
        threads: of each process, and processors that Ray sets aside for it; None: on this machine an equal part of
            all, on a cluster as many as this process would have alone.

    Raises:
        TrainingError: another process has failed or has been killed; the rest are then ended too. Called again with
            the same checkpoint, training goes on from there.
        EngineError: the cluster cannot be reached.
    """
    if processes == 1:
        return lead(ALONE)
    threads = threads or (n_threads() if address else max(1, n_threads() // processes))
    with ExitStack() as stack:
        ray = stack.enter_context(connected(address, threads * (processes - 1), LEAST_STORE))
        here = ray.util.get_node_ip_address() if address else HOME
        stack.enter_context(_environment(threads, here))
        store = _meeting_place(here, processes)
        followers = _Followers(ray, processes, threads)
        stack.callback(followers.end)
        followers.start()
        followers.follow(f"{here}:{store.port}", follow)
        with _joined(store, 0, processes):
            try:
                result = lead(Group(0, processes))
            except RuntimeError as error:
                reason = followers.reason(DEATH_SECONDS)
                if reason is None:
                    raise
                raise TrainingError(reason) from error
        followers.reason(DEATH_SECONDS)  # they end by themselves, and save nothing
        return result


class Follower:
    """The actor: one of the other processes."""

    def __init__(self, rank: int, size: int, threads: int) -> None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        torch.set_num_threads(threads)
        self._rank, self._size = rank, size

    def ready(self) -> int:
        """Its process."""
        return os.getpid()

    def follow(self, meeting: str, follow: Callable[[Group], object]) -> Answer:
        """Meet the others, and do it."""
        import ray

        host, _, port = meeting.rpartition(":")
        here = HOME if host == HOME else ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        _name_interface(here)
        try:
            store = TCPStore(host, int(port), self._size, False, timedelta(seconds=MEET_SECONDS))
            with _joined(store, self._rank, self._size):
                follow(Group(self._rank, self._size))
        except Exception as error:
            return failure(error)
        return Answer()


class _Followers:
    """The other processes, as the first one sees them."""

    def __init__(self, ray: Any, size: int, threads: int) -> None:
        self._ray, self._size, self._threads = ray, size, threads
        self._actors: list[Any] = []
        self._work: list[Any] = []

    def start(self) -> None:
        """Wait until all processes are there: who waits for them below cannot be told that one has died.

        Raises:
            TrainingError: not all have started.
        """
        made = self._ray.remote(Follower).options(
            num_cpus=self._threads, scheduling_strategy="SPREAD", max_restarts=0, max_task_retries=0
        )
        self._actors = [made.remote(rank, self._size, self._threads) for rank in range(1, self._size)]
        refs = [actor.ready.remote() for actor in self._actors]
        _, late = self._ray.wait(refs, num_returns=len(refs), timeout=START_SECONDS)
        if late:
            raise TrainingError(
                f"{len(late)} of {self._size} processes have not started in {START_SECONDS:.0f} s; each wants "
                f"{self._threads} processors (OMP_NUM_THREADS here says how many), the cluster has "
                f"{self._ray.cluster_resources().get('CPU', 0):g} in all"
            )
        try:
            self._ray.get(refs)
        except self._ray.exceptions.RayError as error:
            raise TrainingError(f"a process cannot be started: {first_line(error)}") from error

    def follow(self, meeting: str, follow: Callable[[Group], object]) -> None:
        """Let them go to the meeting."""
        self._work = [actor.follow.remote(meeting, follow) for actor in self._actors]

    def reason(self, seconds: float) -> str | None:
        """Why one has failed, its own fault before what others have made of it; None where none has."""
        until, reasons = time.monotonic() + seconds, []
        for rank, ref in enumerate(self._work, 1):
            name = f"process {rank + 1} of {self._size}"
            try:
                answer = self._ray.get(ref, timeout=max(until - time.monotonic(), 0.1))
            except self._ray.exceptions.GetTimeoutError:
                continue
            except self._ray.exceptions.RayError as error:
                reasons.append(f"{name}: is lost: {first_line(error)}; train again to go on from the last checkpoint")
                continue
            if answer.kind:
                reasons.append(f"{name}: {_said(answer)}")
        return min(reasons, key=lambda reason: "RuntimeError" in reason, default=None)

    def end(self) -> None:
        """Let them go."""
        for actor in self._actors:
            with suppress(Exception):  # it is dead, or Ray is: either is what is wanted
                self._ray.kill(actor, no_restart=True)


def _said(answer: Answer) -> str:
    try:
        answer.given("it")
    except PinfoldError as error:
        return str(error).removeprefix("it ")
    return ""


def _meeting_place(here: str, size: int) -> TCPStore:
    """Where processes find each other: a port that no other address of this machine has open."""
    place = socket.create_server((here, 0))
    port = place.getsockname()[1]
    return TCPStore(
        here, port, size, True, timedelta(seconds=MEET_SECONDS), wait_for_workers=False,
        master_listen_fd=place.detach(), use_libuv=True,
    )  # fmt: skip


@contextmanager
def _joined(store: TCPStore, rank: int, size: int) -> Iterator[None]:
    """Once all have found each other."""
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def _environment(threads: int, here: str) -> Iterator[None]:
    """So many threads, and gloo on the network that has this address."""
    before, threads_before = os.environ.get(INTERFACE), torch.get_num_threads()
    torch.set_num_threads(threads)
    _name_interface(here)
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        os.environ.pop(INTERFACE, None)
        if before is not None:
            os.environ[INTERFACE] = before


def _name_interface(here: str) -> None:
    """Tell gloo which network to use, unless the user has: by itself it takes the one that the host's name means."""
    if INTERFACE in os.environ:
        return
    import fcntl
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # it has no address
                request = struct.pack("256s", name.encode()[:15])
                found = fcntl.ioctl(asked.fileno(), 0x8915, request)  # SIOCGIFADDR
                if socket.inet_ntoa(found[20:24]) == here:
                    os.environ[INTERFACE] = name
                    return
