"""A job on many machines, on paper: from what stages cost on one worker, how long they take on M, and what that costs.

The stages are those of the engine (engine/stages.py), and so are the bytes that a stage moves. Nothing here has been
run on M machines: every assumption is a field of `Machine` or `Work`, or is named in ASSUMPTIONS.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from pinfold.planning.pinsage import distinct
from pinfold.planning.speeds import Speeds

EDGE = 12  # bytes of an edge on the way to an owner: user, item, weight
WALKER = 16  # bytes of a walker on its way: where it is, which source and segment it is of
VISIT = 8  # bytes of a visit on its way back to the owner of its source
SPREAD = 0.1  # standard deviation of the times of equal workers, as a share of their mean
SHARD = 2_000_000  # items of an index; a machine has several, which are searched together
PAPER = {"machines": 378, "hours": 24.0, "nodes": 3_000_000_000}  # Ying et al., KDD 2018, section 4.5: d2.8xlarge
ASSUMPTIONS = (
    "a stage's time on a worker is in proportion to the nodes or edges that it owns, as measured on one machine",
    "the cores of a machine do not slow each other, though they share its memory's bandwidth",
    "walks on a worker's part are as fast as on the measured graph; caches hold less of a larger one",
    "content is there: what makes features of texts and images is not counted, nor is training",
    "owners are drawn evenly: of what a worker needs, (M - 1) / M stands on others",
    "a step of a walk moves a walker twice, to the owner of its user and to the owner of its item",
    "a message that several rows of a block need is moved once a block; distinct items met follow rank^-0.6",
    "all machines send at full speed at once, and sending does not overlap with computing",
    "workers' times are normal with a deviation of a tenth; a stage ends with its slowest: mean (1 + 0.1 E[max of M])",
    "each round costs a fixed latency, however little is sent",
    "no machine fails; the price is that of the machines' hours alone",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """One of M equal machines. Defaults: 16 cores and 128 GB, a common size; prices differ by a factor of two."""

    cores: int = 16
    memory: float = 128e9  # bytes
    network: float = 1.25e9  # bytes a second, in and out at once: 10 Gbit/s
    disk: float = 0.5e9  # bytes a second
    price: float = 1.0  # an hour, in whatever money
    latency: float = 0.2  # seconds of a round, whoever has nothing to send too
    usable: float = 0.8  # share of the memory that a worker may fill


@dataclass(frozen=True, slots=True)
class Work:
    """The data, the network, and how it is gone about."""

    users: float = 1e9
    items: float = 2e9
    edges: float = 18e9
    features: int = 64  # F
    hidden: int = 128  # M of messages
    dim: int = 128  # D
    layers: int = 2
    neighbors: int = 50  # T
    steps: int = 500  # of walks
    restart: float = 0.5
    number: int = 2  # bytes of a number of a layer: half precision
    block: int = 65_536  # rows whose messages are asked for together

    @property
    def nodes(self) -> float:
        """Users and items."""
        return self.users + self.items


@dataclass(frozen=True, slots=True)
class Costs:
    """Measured on one machine: processor seconds of one core, and bytes of disk, for each unit of a stage."""

    seconds: Mapping[str, float]  # by stage: for a million edges (graph, users) or a million items (others)
    measured: bool = False  # False: from two seconds of calibration, a placeholder
    source: str = ""


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage on M machines; seconds."""

    name: str
    computing: float
    sending: float
    writing: float
    waiting: float  # rounds' latencies, and for the slowest

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.computing + self.sending + self.writing + self.waiting


STAGES = ("graph", "neighborhoods", "content", "project", "convolve", "vectors", "users", "index")
OF_EDGES = frozenset({"graph", "users"})


def placeholder_costs(work: Work, speeds: Speeds) -> Costs:
    """Costs by formulas from the speeds of one core, where nobody has measured the stages themselves."""
    wide = [work.features + 2, *([work.dim] * work.layers)]
    products = [2.0 * w * work.hidden for w in wide[:-1]], [2.0 * (w + work.hidden) * work.dim for w in wide[:-1]]
    project, convolve = (sum(one) / max(work.layers, 1) for one in products)
    lists = 4 * SHARD**0.5
    million = {
        "graph": 2 / speeds.edges_sorted,
        "neighborhoods": work.steps / speeds.walk_steps,
        "content": 3 * 4.0 * wide[0] / speeds.touched,
        "project": project / speeds.multiplied,
        "convolve": convolve / speeds.multiplied + 2 * 4.0 * work.neighbors * work.hidden / speeds.gathered,
        "vectors": 4.0 * work.dim**2 / speeds.multiplied,
        "users": 2 * 4.0 * work.dim / speeds.gathered,
        "index": 2.0 * work.dim * lists * 2 / speeds.multiplied,
    }
    return Costs({name: 1e6 * cost for name, cost in million.items()}, False, "formulas and two seconds of calibration")


def simulate(work: Work, machine: Machine, costs: Costs, machines: int) -> list[StageTime]:
    """The time of each stage on so many machines, all cores at work.

    Raises:
        ValueError: no machine, or a stage without a cost.
    """
    if machines < 1:
        raise ValueError(f"machines must be at least 1, got {machines}")
    missing = set(STAGES) - set(costs.seconds)
    if missing:
        raise ValueError(f"costs must name every stage, missing: {', '.join(sorted(missing))}")
    slowest = SPREAD * expected_largest(machines)
    times = []
    for name in STAGES:
        again = work.layers if name in ("project", "convolve") else 1
        units = (work.edges if name in OF_EDGES else work.items) / 1e6
        computing = again * units * costs.seconds[name] / (machines * machine.cores)
        sending = moved(name, work, machines) / (machines * machine.network)
        writing = written(name, work) / (machines * machine.disk)
        waiting = rounds(name, work, machine, machines) * machine.latency * (machines > 1)
        waiting += (computing + writing) * slowest
        times.append(StageTime(name, computing, sending, writing, waiting))
    return times


def moved(name: str, work: Work, machines: int) -> float:
    """Bytes that leave a machine in a stage, all machines together."""
    away = (machines - 1) / machines
    match name:
        case "graph":
            return 2 * EDGE * work.edges * away
        case "neighborhoods":
            steps = work.items * work.steps
            return (2 * WALKER * steps + VISIT * steps) * away
        case "convolve":
            blocks = work.items / work.block
            needed = distinct(work.block * work.neighbors, round(work.items))
            return work.layers * blocks * needed * (work.hidden * work.number + 4) * away
        case "users":
            rows = work.block * work.edges / work.users
            return work.users / work.block * distinct(rows, round(work.items)) * (4 * work.dim + 4) * away
        case _:
            return 0.0


def written(name: str, work: Work) -> float:
    """Bytes that a stage leaves on the disks, all machines together."""
    sizes = {
        "graph": 2 * 8 * work.edges + 8 * work.nodes + 2 * EDGE * work.edges,
        "neighborhoods": 8.0 * work.neighbors * work.items,
        "content": work.items * (work.features + 2) * work.number,
        "project": work.layers * work.items * work.hidden * work.number,
        "convolve": work.layers * work.items * work.dim * work.number,
        "vectors": work.items * work.dim * 4,
        "users": work.users * work.dim * 4,
        "index": work.items * (work.dim + 8),
    }
    return float(sizes[name])


def rounds(name: str, work: Work, machine: Machine, machines: int) -> float:
    """Exchanges of a stage, each of which all wait for."""
    own = work.items / machines
    match name:
        case "graph":
            return math.ceil(work.edges / machines * 160 / (machine.memory * machine.usable / 4))
        case "neighborhoods":  # a wave of walkers fills a quarter of the memory
            at_once = machine.memory * machine.usable / 4 / (4 * work.steps + WALKER * work.steps * work.restart)
            longest = 1 + math.log(max(own * work.steps * work.restart, 2)) / -math.log1p(-min(work.restart, 0.999))
            return math.ceil(own / at_once) * 2 * longest
        case "convolve":
            return work.layers * 2 * math.ceil(own / work.block)
        case "users":
            return 2 * math.ceil(work.users / machines / work.block)
        case _:
            return 1


def held(work: Work, machines: int) -> dict[str, float]:
    """Bytes that each machine should hold for its stages to run from memory, by stage."""
    messages = work.items * work.hidden * work.number
    return {
        "neighborhoods": (2 * 8 * work.edges + 8 * work.nodes) / machines,  # walks read at random
        "convolve": messages / machines,  # other machines ask at random
        "users": work.items * work.dim * 4 / machines,
        "index": work.items * (work.dim + 8) / machines,
    }


def needed_machines(work: Work, machine: Machine) -> int:
    """The fewest machines whose memory holds what is read at random."""
    whole = max(held(work, 1).values())
    return max(math.ceil(whole / (machine.memory * machine.usable)), 1)


def nodes_per_second(work: Work, times: Sequence[StageTime], machines: int) -> float:
    """Of each machine, over the whole job."""
    return work.nodes / (sum(one.seconds for one in times) * machines)


def paper_rate() -> float:
    """The paper's nodes per second of each machine."""
    return PAPER["nodes"] / (PAPER["hours"] * 3600 * PAPER["machines"])


def expected_largest(n: int) -> float:
    """The mean of the largest of n standard normal numbers, after Blom: the quantile of (n - 0.375) / (n + 0.25)."""
    return 0.0 if n == 1 else NormalDist().inv_cdf((n - 0.375) / (n + 0.25))
