"""Training by several processes on one machine: each takes its share of every batch, gradients are summed.

The caller's process is one of them, the first, and the only one that validates, saves and shows anything. The others
are started afresh, do the same steps on their shares, and end with it.
"""

import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from pinfold.errors import PinfoldError, TrainingError
from pinfold.kernels.parallel import n_threads

R = TypeVar("R")

START_SECONDS = 300.0  # for importing torch and reading the data on a busy machine
MEET_SECONDS = 60.0  # for finding each other once all have started
PATIENCE = timedelta(days=30)  # with a process that validates; one that died is noticed at once
DEATH_SECONDS = 5.0  # after a broken connection, for the process at its other end to be gone
FAREWELL_SECONDS = 10.0  # for the others to end after the first one has


@dataclass(frozen=True, slots=True)
class Group:
    """The processes that train together, as one of them sees them."""

    rank: int = 0  # of this process; 0 is the caller's
    size: int = 1

    def add_up(self, module: nn.Module, loss: float) -> float:
        """Sum the gradients, in place, and the loss over all processes; everywhere the same bits.

        A parameter that no process has a gradient for keeps none, so that the optimizer leaves it alone.
        """
        if self.size == 1:
            return loss
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        parts = [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters]
        extra = torch.tensor([*(float(p.grad is not None) for p in parameters), loss])
        summed = torch.cat([*parts, extra])  # one message a step
        dist.all_reduce(summed)
        *gradients, extra = torch.split(summed, [*(p.numel() for p in parameters), len(extra)])
        for parameter, gradient, n in zip(parameters, gradients, extra[:-1].tolist(), strict=True):
            parameter.grad = gradient.view_as(parameter) if n else None
        return float(extra[-1])

    def tell(self, value: float) -> float:
        """What the first process says, in all of them."""
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(told, 0)
        return float(told[0])

    def check_same(self, module: nn.Module) -> None:
        """Raise unless this process has the first one's parameters.

        Raises:
            TrainingError: it has others.
        """
        if self.size == 1:
            return
        own = float(sum(part.detach().double().sum() for part in module.parameters()))
        told = self.tell(own)
        if own != told and not math.isnan(own):  # nan is found out at the first step
            raise TrainingError(
                f"starts from other parameters than process 1 ({own!r} in sum, not {told!r}); "
                "all processes must build the same model from the same data and seed"
            )


ALONE = Group()


def together(lead: Callable[[Group], R], follow: Callable[[Group], object], processes: int) -> R:
    """What `lead` returns, run in this process while `processes` - 1 others run `follow`.

    Both must take part in the same sums and broadcasts, one for one, as `training.loop.train` does when it is given
    the group, an equal model, and equal options. Each process gets an equal part of the threads.

    Args:
        lead: anything that can be called.
        follow: a function at the top level of a module, or a `functools.partial` of one: it is sent to processes that
            have nothing of this one but its files.
        processes: how many in all; with 1, `lead` is run alone.

    Raises:
        TrainingError: another process has failed or has been killed; the rest are then ended too.
    """
    if processes == 1:
        return lead(ALONE)
    threads = max(1, n_threads() // processes)
    with TemporaryDirectory(prefix="pinfold-") as folder, _environment(threads):
        meeting = Path(folder) / "meeting"  # a file, not a port: nobody else can have it
        others = [_start(rank, processes, meeting, threads, follow) for rank in range(1, processes)]
        finished = False
        try:
            _await_start(others)
            with _joined(0, processes, meeting) as group:
                result = _explaining(partial(lead, group), others)
            finished = True
            return result
        finally:
            _end(others, FAREWELL_SECONDS if finished else 0)


@dataclass(frozen=True, slots=True)
class _Other:
    """One of the other processes, as the first one sees it."""

    rank: int
    size: int
    process: SpawnProcess
    words: Connection  # "ready", and why it failed

    def reason(self) -> str | None:
        """Why it has failed; None as long as it has not."""
        name = f"process {self.rank + 1} of {self.size}"
        said: str | None = None
        with suppress(EOFError, OSError):
            while said is None and self.words.poll():
                said = self.words.recv_bytes().decode() or None
        if said is not None:
            return f"{name}: {said}"
        code = self.process.exitcode
        if code is not None and code < 0:
            return (
                f"{name}: was killed by {signal.Signals(-code).name}; where memory was short, "
                "train with fewer train.processes"
            )
        return f"{name}: ended with code {code}; standard error says why" if code is not None else None


def _start(rank: int, size: int, meeting: Path, threads: int, follow: Callable[[Group], object]) -> _Other:
    context = get_context("spawn")  # a fork would copy the locks of threads that it does not have
    words, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_follow, args=(rank, size, meeting, threads, follow, theirs), name=f"pinfold-train-{rank}", daemon=True
    )
    process.start()
    theirs.close()  # so that its end is seen when the process is gone
    return _Other(rank, size, process, words)


def _follow(
    rank: int, size: int, meeting: Path, threads: int, follow: Callable[[Group], object], words: Connection
) -> None:
    """What another process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process then ends the rest
    torch.set_num_threads(threads)
    try:
        words.send_bytes(b"")
        with _joined(rank, size, meeting) as group:
            follow(group)
    except Exception as error:
        text = str(error) if isinstance(error, PinfoldError) else f"failed: {type(error).__name__}: {error}"
        with suppress(OSError):
            words.send_bytes(text.encode())
        sys.exit(1)


def _await_start(others: list[_Other]) -> None:
    """Wait until all processes are there: who waits for them below cannot be told that one has died."""
    for other in others:
        if not wait([other.words, other.process.sentinel], START_SECONDS):
            raise TrainingError(f"process {other.rank + 1} of {other.size} has not started in {START_SECONDS:.0f} s")
        began = False
        with suppress(EOFError):
            began = other.words.poll() and other.words.recv_bytes() == b""
        if not began:
            other.process.join(DEATH_SECONDS)
            raise TrainingError(str(other.reason()))


def _explaining(lead: Callable[[], R], others: list[_Other]) -> R:
    """Run `lead`; where a connection breaks, say whose fault it was."""
    try:
        return lead()
    except RuntimeError as error:
        gone = wait([other.process.sentinel for other in others], DEATH_SECONDS)
        for other in others:
            if other.process.sentinel in gone:
                other.process.join(DEATH_SECONDS)  # only then its exit code is known
        # all that have failed are asked: a process may have failed because of another one, as this one has
        reasons = [reason for reason in (other.reason() for other in others) if reason]
        if not reasons:
            raise
        raise TrainingError(min(reasons, key=_is_consequence)) from error


def _is_consequence(reason: str) -> bool:
    return "RuntimeError" in reason or "DistBackendError" in reason


@contextmanager
def _joined(rank: int, size: int, meeting: Path) -> Iterator[Group]:
    """The group, once all have found each other."""
    store = dist.FileStore(str(meeting), size)  # type: ignore[attr-defined]
    store.set_timeout(timedelta(seconds=MEET_SECONDS))
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield Group(rank, size)
    finally:
        dist.destroy_process_group()


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """So many threads here and in processes that start here, and gloo on no other network than this machine's own."""
    wanted = {
        "OMP_NUM_THREADS": str(threads),
        "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo"),
    }
    before: dict[str, Any] = {name: os.environ.get(name) for name in wanted}
    threads_before = torch.get_num_threads()
    os.environ.update(wanted)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _end(others: list[_Other], seconds: float) -> None:
    """Wait so long for the processes to end by themselves, then end them."""
    for other in others:
        other.process.join(seconds)
        if other.process.is_alive():
            other.process.kill()
            other.process.join()
        other.process.close()
        other.words.close()
