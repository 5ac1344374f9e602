"""How large a data set is, read from the headers of its files: nothing of it is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import duckdb
import numpy as np

from pinfold.artifacts import is_folder, open_folder
from pinfold.data.dataset import KIND
from pinfold.data.sql import exact, parquet_table
from pinfold.data.tables import Table
from pinfold.errors import ArtifactError, ConfigError
from pinfold.features.config import CategoriesColumn, DateColumn, FeaturesConfig, NumberColumn, VectorColumn
from pinfold.features.content import Side, choose
from pinfold.run import BUNDLED

DATE = 5  # features of a date: days, and two places on circles
LETTERS = 20  # of a row of two ids
SEEN = 20_000  # rows of a table that say what kind its columns are


@dataclass(frozen=True, slots=True)
class Counts:
    """The sizes that decide what a job needs."""

    users: int  # U
    items: int  # I
    edges: int  # E, events
    item_dim: int = 0  # F, features of an item
    user_dim: int = 0  # F' of a user
    id_bytes: int = 10  # letters of an id, on average
    user_bytes: int = 0  # of a user's attributes, on average
    item_bytes: int = 0  # of an item's
    mapped_features: int = 0  # bytes of npy files with features, which are mapped
    notes: tuple[str, ...] = ()

    def times(self, factor: float) -> "Counts":
        """A data set of the same kind with this share of users, items and edges."""
        return replace(
            self,
            users=max(round(self.users * factor), 1),
            items=max(round(self.items * factor), 1),
            edges=max(round(self.edges * factor), 1),
            mapped_features=round(self.mapped_features * factor),
        )


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table's rows, and bytes a row of its columns as the file has them before it is compressed."""

    rows: int
    columns: Mapping[str, float] = field(default_factory=dict)

    @property
    def id_bytes(self) -> int:
        """Letters of an id, on average."""
        return max(round(self.columns.get("id", 0)) - 4, 1)  # four bytes hold the length

    @property
    def attribute_bytes(self) -> int:
        """Bytes of all attributes of a row."""
        return round(sum(size for name, size in self.columns.items() if name != "id"))


def count(path: str, features: FeaturesConfig) -> Counts:
    """The sizes of the data set at `path`, or of the bundled one for 'debian'.

    Raises:
        ConfigError: there is no data set.
        ArtifactError: a file of it is missing or no table, or the folder holds something else.
    """
    bundled = path == BUNDLED
    folder = Path(str(files("pinfold") / "data" / "debian")) if bundled else Path(path)
    if not bundled and not is_folder(folder):
        raise ConfigError(
            f"{path!r}: no data set there; make one with `pinfold import FILE --out {path}`, or use {BUNDLED!r}"
        )
    if not bundled:
        open_folder(folder, KIND, lambda _: False)  # names what else it is
    of_users, of_items = (folder / f"{name}.parquet" for name in ("collections" if bundled else "users", "items"))
    users, items = table_size(of_users), table_size(of_items)
    edges = table_size(folder / "events.parquet").rows if bundled else n_rows(folder / "users.npy")
    notes: list[str] = []
    dims = [_dim(features, path, side, notes) for path, side in ((of_users, "users"), (of_items, "items"))]
    n = max(users.rows + items.rows, 1)
    return Counts(
        users=users.rows,
        items=items.rows,
        edges=edges,
        user_dim=dims[0],
        item_dim=dims[1],
        id_bytes=round((users.rows * users.id_bytes + items.rows * items.id_bytes) / n),
        user_bytes=users.attribute_bytes,
        item_bytes=items.attribute_bytes,
        mapped_features=sum(_mapped(side) for side in (features.users, features.items)),
        notes=tuple(notes),
    )


def n_rows(path: Path) -> int:
    """The rows of an npy file.

    Raises:
        ArtifactError: it is missing or no array.
    """
    try:
        return len(np.lib.format.open_memmap(path, mode="r"))
    except Exception as error:  # numpy's header parser lets many kinds through
        raise ArtifactError(f"{path}: cannot be read: {error}; import the data again") from error


def count_lines(path: Path) -> float:
    """Rows of a file with pairs of items: counted in Parquet, elsewhere some LETTERS a row; 0 without a file."""
    if not path.is_file():
        return 0.0
    return float(table_size(path).rows) if path.suffix == ".parquet" else path.stat().st_size / LETTERS


def table_size(path: Path) -> TableSize:
    """Rows and bytes of a Parquet file, from its footer.

    Raises:
        ArtifactError: it is missing or no such file.
    """
    try:
        with duckdb.connect() as connection:
            found = connection.execute(
                "SELECT split_part(path_in_schema, ', ', 1), sum(total_uncompressed_size) FROM parquet_metadata($path) "
                "GROUP BY 1",
                {"path": exact(path)},
            ).fetchall()
            rows = connection.execute("SELECT num_rows FROM parquet_file_metadata($path)", {"path": exact(path)})
            n = int(sum(row[0] for row in rows.fetchall()))
    except duckdb.Error as error:
        raise ArtifactError(f"{path}: cannot be read: {error}; import the data again") from error
    return TableSize(n, {str(name): float(size) / max(n, 1) for name, size in found})


def _dim(features: FeaturesConfig, path: Path, side: str, notes: list[str]) -> int:
    """Features of one side: what its columns can be at most."""
    table = _first_rows(path)
    told: Side = "items" if side == "items" else "users"
    columns, _ = choose(features, table, np.arange(table.n_rows, dtype=np.int32), told)
    total = 0
    for name, column in columns.items():
        match column:
            case NumberColumn():
                total += 1
            case DateColumn():
                total += DATE
            case VectorColumn():
                total += min(_length(name, column, table), column.dim or 2**31)
            case CategoriesColumn():
                known = table.columns[name]
                flat = not any(isinstance(value, list) for value in known[:100])
                values = len({value for value in known.tolist() if value is not None}) if flat else 2**31
                total += min(values, column.dim or features.dim)
            case _:
                total += column.dim or features.dim
    if any(not isinstance(column, VectorColumn) for column in columns.values()):
        notes.append(f"features of {side}: what their columns come to at most; text and categories may come to fewer")
    return total


def _length(name: str, column: VectorColumn, table: Table) -> int:
    if column.path is not None:
        shape = np.lib.format.open_memmap(column.path, mode="r").shape if Path(column.path).is_file() else (0, 0)
        return int(shape[1]) if len(shape) == 2 else 0
    return max((np.size(value) for value in table.columns[name][:100] if value is not None), default=0)


def _mapped(columns: Mapping[str, object]) -> int:
    paths = [Path(one.path) for one in columns.values() if isinstance(one, VectorColumn) and one.path]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _first_rows(path: Path) -> Table:
    try:
        with duckdb.connect() as connection:
            found = connection.execute(f"SELECT * EXCLUDE (id) FROM {parquet_table(path)} LIMIT {SEEN}")
            names = [column[0] for column in found.description]
            rows = found.fetchall()
    except duckdb.Error as error:
        if "EXCLUDE" in str(error) or "empty" in str(error):  # no column but the id
            return Table({}, min(table_size(path).rows, SEEN))
        raise ArtifactError(f"{path}: cannot be read: {error}; import the data again") from error
    columns = {}
    for place, name in enumerate(names):
        column = np.empty(len(rows), dtype=object)
        column[:] = [row[place] for row in rows]
        columns[name] = column
    return Table(columns, len(rows))
