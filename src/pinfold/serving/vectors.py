"""The vectors of a store: one table a generation, so that removing a generation is removing a table.

They are made from the artifact and the items, and can be made again: they carry no checksums.
"""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, Table, delete, func, insert, select

from pinfold.arrays import Floats, check_array
from pinfold.errors import StoreError
from pinfold.serving.database import Database
from pinfold.serving.schema import generations
from pinfold.serving.store import check_id

BLOCK = 1000  # ids looked up at once


def put_vectors(
    connection: Connection, database: Database, generation: str, ids: Sequence[str], vectors: Floats
) -> None:
    """Add or replace the vectors (n, D) of these ids.

    Raises:
        ValueError: another D than the generation has, an id twice, or numbers that are not finite.
    """
    check_id("generation", generation)
    check_array("vectors", vectors, np.float32, len(ids), -1)
    if not vectors.size:
        return
    if len(set(ids)) < len(ids):
        raise ValueError("ids must not repeat")
    for position, key in enumerate(ids):
        check_id(f"ids[{position}]", key)
    if not np.isfinite(vectors).all():
        raise ValueError("vectors must be finite")
    table = find_table(connection, database, generation, vectors.shape[1])
    new = table is None
    if table is None:
        table = _add_generation(connection, database, generation, vectors.shape[1])
    else:
        _remove(connection, table, ids)
    database.vectors.insert(connection, table, ids, vectors)
    if new:  # behind the rows: an index is built faster than it grows
        database.vectors.add_index(connection, table)


def remove_item(connection: Connection, database: Database, item: str) -> None:
    """Remove an item's vectors of all generations."""
    for row in connection.execute(select(generations)).all():
        _remove(connection, _table(database, row.number, row.dim), [item])


def remove_generation(connection: Connection, database: Database, generation: str) -> None:
    """Remove the table of a generation, if there is one."""
    table = find_table(connection, database, generation)
    if table is not None:
        table.drop(connection)
        connection.execute(delete(generations).where(generations.c.generation == generation))


def nearest(
    connection: Connection, database: Database, generation: str, vector: Floats, k: int
) -> list[tuple[str, float]]:
    """At most k ids with their inner products, largest first; none of a generation without vectors.

    Raises:
        ValueError: the vector has another length than the generation's.
    """
    check_array("vector", vector, np.float32, -1)
    if k < 1 or not np.isfinite(vector).all():
        raise ValueError(f"k must be at least 1 and the vector finite, got k = {k}")
    table = find_table(connection, database, generation, len(vector))
    return [] if table is None else database.vectors.nearest(connection, table, vector, k)


def find_table(connection: Connection, database: Database, generation: str, dim: int | None = None) -> Table | None:
    """The table of a generation.

    Raises:
        ValueError: its vectors do not have `dim` numbers.
    """
    row = connection.execute(select(generations).where(generations.c.generation == generation)).one_or_none()
    if row is None:
        return None
    if dim is not None and row.dim != dim:
        raise ValueError(f"vectors of generation {generation!r} have {row.dim} numbers, got {dim}")
    return _table(database, row.number, row.dim)


def _add_generation(connection: Connection, database: Database, generation: str, dim: int) -> Table:
    number = connection.execute(select(func.coalesce(func.max(generations.c.number), 0) + 1)).scalar_one()
    connection.execute(insert(generations), {"generation": generation, "number": number, "dim": dim})
    table = _table(database, number, dim)
    database.vectors.create(connection, table)
    return table


def _table(database: Database, number: object, dim: object) -> Table:
    if not isinstance(number, int) or not isinstance(dim, int):
        raise StoreError(f"{database.place}: table {generations.name} is damaged; restore the database from a copy")
    return database.vectors.table(f"pinfold_vectors_{number}", dim)


def _remove(connection: Connection, table: Table, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), BLOCK):
        connection.execute(delete(table).where(table.c.id.in_(ids[start : start + BLOCK])))
