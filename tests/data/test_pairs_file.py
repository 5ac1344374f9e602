"""A user's own pairs: read with weights, and refused with a reason."""

from pathlib import Path

import pytest

from pinfold.data.pairs import read_pairs
from pinfold.data.vocab import Vocab
from pinfold.errors import DataError

ITEMS = Vocab(["a", "b", "7"], "item")


def test_pairs_with_and_without_weights(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("query,item,weight\na,b,2\nb,7,0.5\na,a,1\nzzz,b,1\n")
    queries, items, weights = read_pairs(tmp_path / "pairs.csv", ITEMS)
    assert (queries.tolist(), items.tolist(), weights.tolist()) == ([0, 1], [1, 2], [2.0, 0.5])
    (tmp_path / "pairs.tsv").write_text("item\tquery\n7\ta\n")
    queries, items, weights = read_pairs(tmp_path / "pairs.tsv", ITEMS)
    assert (queries.tolist(), items.tolist(), weights.tolist()) == ([0], [2], [1.0])
    assert (queries.dtype.name, weights.dtype.name) == ("int32", "float64")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "query,thing\na,b\n", "no column 'item'"),
        ("p.csv", "query,item,weight\na,b,1\nb,a,-1\n", "pair 2: column 'weight' must hold a positive number"),
        ("p.csv", "query,item,weight\na,b,heavy\n", "pair 1: column 'weight'"),
        ("p.csv", "query,item,weight\na,b,inf\n", "pair 1: column 'weight'"),
        ("p.csv", "query,item\n1,2,3\n", "p.csv: cannot be read as a table"),
        ("p.csv", "query,item\nx,y\n", "of its 1 pairs none is of two different items of the data set"),
        ("p.csv", "", "p.csv"),
        ("p.parquet", "nonsense", "cannot be read as a table"),
        ("p.txt", "query,item\na,b\n", "ending in .csv, .tsv"),
    ],
)
def test_broken_files_say_what_is_wrong(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_pairs(tmp_path / name, ITEMS)
