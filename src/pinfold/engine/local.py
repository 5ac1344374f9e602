"""The workers of a job in this process, one after another: for one machine, and for tests of what a cluster does."""

from collections import Counter
from typing import Any

from pinfold.engine.interface import NOTHING, Job, Options, Part, Shard, Steps


class LocalEngine:
    """An `Engine` without processes: kernels use the threads, so that one worker is as fast as several."""

    def __init__(self, job: Job, size: int, steps: Steps) -> None:
        """`size` workers; with more than one, all that is sent is what a cluster would send."""
        self.size = size
        self.moved: Counter[str] = Counter()
        self._steps = steps
        self._shards = [Shard(rank, size, job) for rank in range(size)]

    def run(self, step: str, options: Options = NOTHING) -> list[Any]:
        """Every worker does this step."""
        return [self._steps.run[step](shard, options) for shard in self._shards]

    def exchange(self, send: str, receive: str, options: Options = NOTHING) -> list[Any]:
        """Every worker sends one part to each, and takes in what was sent to it."""
        sent = [self._steps.send[send](shard, options) for shard in self._shards]
        self.moved[send] += sum(
            n_bytes(part) for rank, parts in enumerate(sent) for to, part in enumerate(parts) if to != rank
        )
        receiving = self._steps.receive[receive]
        return [receiving(shard, options, [parts[shard.rank] for parts in sent]) for shard in self._shards]

    def revive(self) -> None:
        """All workers forget what they kept."""
        for shard in self._shards:
            shard.kept.clear()

    def close(self) -> None:
        """Nothing is left."""
        self._shards.clear()


def n_bytes(part: Part) -> int:
    """What has to be moved."""
    return sum(array.nbytes for array in part.values())
