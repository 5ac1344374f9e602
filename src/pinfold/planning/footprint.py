"""What things weigh: bytes of a process, of ids, events, graphs and batches. Measured, see benchmarks/plan.py.

Python's own memory is the bulk of a small job, so it is counted stage by stage as libraries are loaded.
"""

from pinfold.planning.counts import Counts

MB = 1_000_000
PYTHON = 205 * MB  # held by Python and the libraries that `pinfold train` imports
KERNELS = 25 * MB  # by compiled kernels and their threads, once they run
OPTIMIZER = 70 * MB  # by torch's optimizer and its compiler, which it imports
LIBRARIES = 145 * MB  # pages of library files at the start
DATABASE = 30 * MB  # and when tables have been read
COMPILED = 28 * MB  # and when kernels run
TRAINING = 50 * MB  # and when torch has trained
ID = 175  # bytes of an id beside its letters: text, place in the vocabulary, row number
READING = 60  # bytes of a row of a table while it is read
OBJECT = 60  # bytes of an attribute that is no number, beside its letters
EVENT = 20  # user, item, weight, time
EDGE = 8  # column and weight, in one direction
SORTED = 24  # bytes an edge while one direction is sorted
KEYS = 40  # bytes an event while pairs are looked for among sorted keys
SCORES = 2 * 64 * MB  # two blocks of scores of index.exact


def ids(counts: Counts) -> float:
    """The vocabularies of users and items."""
    return (counts.users + counts.items) * (ID + counts.id_bytes)


def tables(counts: Counts) -> float:
    """Attributes as they lie in memory."""
    return counts.users * attribute(counts.user_bytes) + counts.items * attribute(counts.item_bytes)


def attribute(size: int) -> float:
    """Attributes of one row that take `size` bytes in a file."""
    return 0 if not size else 8 if size <= 8 else OBJECT + 2 * size


def graph(edges: float, users: int, items: int) -> float:
    """Both directions of a graph."""
    return 2 * EDGE * edges + 8 * (users + items)
