"""The two-tastes world is what it says."""

import numpy as np
import pytest

from pinfold.data.synthetic import two_tastes


def test_nobody_crosses_over() -> None:
    events = two_tastes(n_users=10, n_items=8, n_each=3, seed=1).interactions
    assert (events.users % 2 == events.items % 2).all()
    assert np.bincount(events.users).tolist() == [3] * 10
    assert len(set(zip(events.users.tolist(), events.items.tolist(), strict=True))) == 30
    assert sorted(events.times.tolist()) == list(range(30))


def test_names_fit_the_rows() -> None:
    dataset = two_tastes(n_users=3, n_items=4, n_each=1)
    assert dataset.users.row("user2") == 2
    assert dataset.item_table.columns["title"].tolist() == [
        "even thing 0", "odd thing 1", "even thing 2", "odd thing 3"
    ]  # fmt: skip


def test_the_seed_decides() -> None:
    first, again, other = (two_tastes(seed=seed).interactions for seed in (1, 1, 2))
    assert first.items.tolist() == again.items.tolist()
    assert first.times.tolist() == again.times.tolist()
    assert first.items.tolist() != other.items.tolist()


def test_more_than_there_is_cannot_be_taken() -> None:
    with pytest.raises(ValueError, match="larger sample"):
        two_tastes(n_items=8, n_each=5)
