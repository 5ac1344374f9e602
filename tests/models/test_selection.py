"""Selections by hand, and distance-weighted draws against the distances that they should have."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor
from torch.nn.functional import normalize

from pinfold.models.selection import Selection, distance_log_weights, select

OFF = -math.inf
SCORES = torch.tensor([[0.5, -0.2, 0.9, OFF, 0.3], [0.5, 0.6, 0.7, OFF, 0.8]])
POSITIVE = torch.tensor([0.6, 0.4])


@pytest.mark.parametrize(
    ("how", "n", "expected"),
    [
        ("all", 2, [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]),
        ("hardest", 9, [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]),
        ("hardest", 3, [[2, 0, 4], [4, 2, 1]]),
        ("semi-hard", 2, [[0, 4], [0, 1]]),  # below 0.6, the highest first; none is below 0.4, so the lowest
        ("semi-hard", 4, [[0, 4, 1, 2], [0, 1, 2, 4]]),  # what the row took after all comes last, and so not at all
    ],
)
def test_by_hand(how: Selection, n: int, expected: list[list[int]]) -> None:
    assert select(SCORES, POSITIVE, how, n).tolist() == expected


def test_semi_hard_of_a_score_equal_to_the_positives() -> None:
    assert select(torch.tensor([[0.5, 0.4, 0.5001]]), torch.tensor([0.5]), "semi-hard", 2).tolist() == [[1, 0]]


def test_semi_hard_against_sorting() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, positive = torch.randn(50, 30, generator=generator), torch.randn(50, generator=generator)
    scores[torch.rand(50, 30, generator=generator) < 0.1] = OFF
    found = select(scores, positive, "semi-hard", 29)
    for row, high, columns in zip(scores.tolist(), positive.tolist(), found.tolist(), strict=True):
        below = sorted((k for k in range(30) if OFF < row[k] < high), key=lambda k: -row[k])
        above = sorted((k for k in range(30) if row[k] >= high), key=lambda k: row[k])
        assert columns[: len(below + above)] == (below + above)[:29]


def test_the_choice_has_no_gradient_and_the_scores_have() -> None:
    scores = SCORES.clone().requires_grad_()
    scores.gather(1, select(scores, POSITIVE, "semi-hard", 2)).sum().backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert scores.grad.tolist() == [[1, 0, 0, 0, 1], [1, 1, 0, 0, 0]]


@pytest.mark.parametrize("dim", [3, 8, 128])
def test_log_weights_are_one_over_the_density(dim: int) -> None:
    distances = np.array([0.1, 0.5, 0.8, 1.1, 1.39])
    cosines = torch.from_numpy(1 - distances**2 / 2)[None]
    clamped = np.maximum(distances, 0.5)
    density = clamped ** (dim - 2) * (1 - clamped**2 / 4) ** ((dim - 3) / 2)
    np.testing.assert_allclose(distance_log_weights(cosines, dim)[0].numpy(), -np.log(density), rtol=1e-9)
    # nothing within the distances is ever as unlikely as what is beyond
    assert distance_log_weights(torch.linspace(0.03, 1, 1000)[None], dim).min() > -1


def test_weights_are_nothing_from_the_largest_distance_on() -> None:
    within, beyond, taken = 1 - 1.39**2 / 2, 1 - 1.41**2 / 2, OFF
    logs = distance_log_weights(torch.tensor([[beyond, within, taken]]), 16)[0]
    assert logs[1] > -1
    assert logs[0] < -90
    assert logs[2] < logs[0] - 90


def unit(n: int, dim: int, seed: int) -> Tensor:
    return normalize(torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def drawn_distances(dim: int, rows: int, columns: int, how: Selection) -> Tensor:
    """Distances of one draw for each of many rows."""
    cosines = unit(rows, dim, 0) @ unit(columns, dim, 1).T
    chosen = select(cosines, torch.zeros(rows), how, 1, dim=dim, generator=torch.Generator().manual_seed(2))
    return (2 - 2 * cosines.gather(1, chosen)).clamp_min(0).sqrt().ravel()


@pytest.mark.parametrize("dim", [4, 6])
def test_distances_of_what_is_drawn_are_uniform(dim: int) -> None:
    """Random unit vectors are nearly all at distance sqrt 2; what is drawn of them is evenly from 0.5 to 1.4."""

    def density(d: float) -> float:
        return float(d ** (dim - 2) * (1 - d * d / 4) ** ((dim - 3) / 2))

    n = 4000
    distances = drawn_distances(dim, n, 1500, "distance-weighted")
    assert distances.max() < 1.4
    # below 0.5 the weight stays, so there lies the integral of density / density(0.5), beside 0.9 above it
    mass = quad(density, 0, 0.5)[0] / density(0.5)
    expected = [mass / (0.9 + mass)] + [0.1 / (0.9 + mass)] * 9
    borders = torch.tensor([0.0, *(0.5 + 0.1 * k for k in range(10))])
    counts = torch.histogram(distances, borders).hist / n
    np.testing.assert_allclose(counts.numpy(), expected, atol=4 * math.sqrt(0.11 * 0.89 / n))


def test_distances_of_even_draws_are_not() -> None:
    """So the test above can fail."""
    cosines = unit(1000, 6, 0) @ unit(1000, 6, 1).T
    assert ((2 - 2 * cosines).sqrt() > 1.4).float().mean() > 0.4


def test_where_too_few_are_near_the_rest_is_drawn_evenly_and_what_was_taken_last() -> None:
    row = [0.9, OFF, -0.5, -0.5, -0.6, OFF, -0.7, -0.8]
    scores, generator = torch.tensor([row] * 2000), torch.Generator().manual_seed(0)
    three = select(scores, torch.zeros(2000), "distance-weighted", 3, dim=8, generator=generator)
    assert (three[:, 0] == 0).all()
    shares = torch.bincount(three[:, 1], minlength=8) / 2000
    assert shares[[2, 3, 4, 6, 7]].tolist() == pytest.approx([0.2] * 5, abs=0.04)
    seven = select(scores, torch.zeros(2000), "distance-weighted", 7, dim=8, generator=generator)
    assert all(set(columns[:6]) == {0, 2, 3, 4, 6, 7} for columns in seven.tolist())
    assert all(len(set(columns)) == 7 for columns in seven.tolist())  # no repeats


def test_the_seed_decides_and_the_number_of_threads_does_not() -> None:
    scores = unit(301, 16, 0) @ unit(401, 16, 1).T

    def draw(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return select(scores, torch.zeros(301), "distance-weighted", 20, dim=16)

    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(draw(7))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], draw(8))


@pytest.mark.parametrize(("n", "dim", "message"), [(0, 8, "n must be"), (2, 0, "the length of the vectors")])
def test_wrong_calls(n: int, dim: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        select(SCORES, POSITIVE, "distance-weighted", n, dim=dim)
