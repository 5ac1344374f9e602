"""Content of items and users: what is told, what is inferred, what is refused."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pinfold.config import parse, to_toml
from pinfold.data.bundled import debian
from pinfold.data.columns import Column
from pinfold.data.tables import Table
from pinfold.errors import ConfigError, DataError
from pinfold.features.config import (
    CategoriesColumn,
    ColumnConfig,
    DateColumn,
    FeaturesConfig,
    NumberColumn,
    TextColumn,
    VectorColumn,
)
from pinfold.features.content import Content, load_content
from pinfold.features.encoders import blocks, indicators
from pinfold.features.reduction import unit_rows


def column(*values: object) -> Column:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def rows(n: int) -> NDArray[np.int32]:
    return np.arange(n, dtype=np.int32)


ITEMS = Table(
    {
        "title": column(*(f"{'red' if i % 2 else 'blue'} mug of {i % 3}5 ml" for i in range(20))),
        "price": np.arange(20) * 1.5,
        "n_baskets": np.arange(20),
    },
    20,
)
USERS = Table({"country": column(*("France", "Spain") * 5)}, 10)


def content(config: FeaturesConfig, items: Table = ITEMS, users: Table = USERS) -> Content:
    return load_content(config, items, users, rows(items.n_rows), rows(users.n_rows))


def test_both_sides_are_inferred() -> None:
    found = content(FeaturesConfig())
    assert list(blocks(found.item_encoders)) == ["title", "price", "n_baskets"]
    assert found.user_encoders is not None
    assert list(blocks(found.user_encoders)) == ["country"]
    assert found.items.shape == (20, found.item_encoders.dim)
    assert found.users.shape == (10, 2)


def test_what_is_ignored_is_left_out() -> None:
    found = content(FeaturesConfig(ignore=("n_baskets", "users.country")))
    assert list(blocks(found.item_encoders)) == ["title", "price"]
    assert found.item_encoders.left_out == ("n_baskets",)
    assert (found.users.shape, found.user_encoders) == ((10, 0), None)
    assert "n_baskets" in blocks(content(FeaturesConfig(ignore=("users.country",))).item_encoders)


def test_what_is_ignored_must_be_there() -> None:
    with pytest.raises(ConfigError, match=r"features\.ignore: no column 'n_basket'; did you mean 'n_baskets'"):
        content(FeaturesConfig(ignore=("n_basket",)))
    with pytest.raises(ConfigError, match=r"no column 'users\.price'"):
        content(FeaturesConfig(ignore=("users.price",)))


def test_named_columns_are_the_only_ones() -> None:
    found = content(FeaturesConfig(items={"price": NumberColumn()}, auto=()))
    assert blocks(found.item_encoders) == {"price": slice(0, 1)}
    assert found.users.shape == (10, 0)
    with pytest.raises(ConfigError, match=r"features\.items\.prize: no column 'prize'; did you mean 'price'"):
        content(FeaturesConfig(items={"prize": NumberColumn()}))


def test_items_without_a_usable_attribute_are_refused() -> None:
    with pytest.raises(DataError, match=r"no attribute of the items can be used as a feature.*the table has none"):
        content(FeaturesConfig(), items=Table({}, 20))
    codes = Table({"code": column(*(f"SKU-{i}" for i in range(20)))}, 20)
    with pytest.raises(DataError, match=r"\[features\.items\].*\n  column 'code' is no feature: its values name"):
        content(FeaturesConfig(), items=codes)


def test_a_broken_value_is_named_by_its_id() -> None:
    items = Table({"price": np.array([1.0, np.inf])}, 2)
    with pytest.raises(DataError, match="column 'price', id 'lamp': inf"):
        load_content(FeaturesConfig(), items, USERS, rows(2), rows(10), item_ids=np.array(["mug", "lamp"], object))


def test_without_training_rows_nothing_is_a_feature() -> None:
    kinds: dict[str, ColumnConfig] = {"title": TextColumn(), "price": NumberColumn(), "image": VectorColumn(dim=1)}
    table = Table({**ITEMS.columns, "image": column(*([1.0, 2.0],) * 20)}, 20)
    for config in (FeaturesConfig(), FeaturesConfig(items=kinds)):
        with pytest.raises(DataError, match="no attribute of the items can be used"):
            load_content(config, table, USERS, rows(0), rows(0))


def test_run_files_name_columns() -> None:
    tree = {
        "items": {
            "title": {"kind": "text", "dim": 64, "min_df": 1, "ngrams": 1},
            "genres": {"kind": "categories", "separator": "|"},
            "price": {"kind": "number", "log": True},
            "added": {"kind": "date"},
            "image": {"kind": "vector", "path": "images.npy"},
        },
        "ignore": ["n_baskets"],
    }
    config = parse(tree, FeaturesConfig, "run.toml")
    assert config.items == {
        "title": TextColumn(dim=64, min_df=1, ngrams=1),
        "genres": CategoriesColumn(separator="|"),
        "price": NumberColumn(log=True),
        "added": DateColumn(),
        "image": VectorColumn(path="images.npy"),
    }
    assert 'kind = "categories"' in to_toml(config)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"kind": "texts"}, r"run.toml: items.title.kind: unknown kind 'texts'; did you mean 'text'?"),
        (
            {"dim": 3},
            "run.toml: items.title.kind: missing; say which one (known: text, categories, number, date, vector)",
        ),
        ({"kind": "text", "mindf": 3}, "run.toml: items.title.mindf: unknown option; did you mean 'min_df'?"),
        ({"kind": "number", "log": 1}, "run.toml: items.title.log: Input should be a valid boolean, got 1"),
        ("text", "run.toml: items.title: expected a table, got 'text'"),
    ],
)
def test_wrong_columns_of_run_files_are_named(column: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"items": {"title": column}}, FeaturesConfig, "run.toml")
    assert str(caught.value).startswith(message)


def test_the_bundled_data_has_content_and_alike_things_are_near() -> None:
    data = debian()
    config = FeaturesConfig(dim=32, auto=("items",))
    found = load_content(config, data.item_table, data.user_table, rows(13839), rows(30627))
    kinds = {name: type(block.encoder).__name__ for name, block in found.item_encoders.columns.items()}
    assert kinds == {"description": "Texts", "section": "Categories", "tags": "Categories"}
    assert found.users.shape == (30627, 0)
    features = unit_rows(found.items[:, ~indicators(found.item_encoders)])
    gimp = features @ features[data.items.rows(np.array(["gimp"], dtype=object))[0]]
    nearest = np.argsort(-gimp)[1:21]
    sections = data.item_table.columns["section"][nearest]
    assert (sections == "graphics").mean() > 0.9
