"""Numbers, dates and vectors: what comes out, what is missing, what is refused and where."""

import math
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinfold.arrays import Ints
from pinfold.data.columns import Column
from pinfold.errors import DataError
from pinfold.features.config import NumberColumn, VectorColumn
from pinfold.features.dates import Dates, encode_dates, fit_dates, parse_date
from pinfold.features.numbers import Numbers, encode_numbers, fit_numbers
from pinfold.features.values import Values
from pinfold.features.vectors import Vectors, encode_vectors, fit_vectors, read_vectors

SMALL = settings(max_examples=60, deadline=None)


def column(*values: object) -> Column:
    made = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        made[row] = value
    return made


def numbers(*values: object, log: bool = False) -> Numbers:
    found = fit_numbers(NumberColumn(log=log), Values("price", column(*values)))
    assert isinstance(found, Numbers)
    return found


def vectors(values: Column, **options: object) -> Vectors:
    found = fit_vectors(VectorColumn(**options), Values("image", values), 0)  # type: ignore[arg-type]
    assert isinstance(found, Vectors)
    return found


def rows(*values: int) -> Ints:
    return np.array(values, np.int32)


def test_numbers_have_mean_zero_and_deviation_one() -> None:
    encoder = numbers(2, 4.0, None, 6, "8", math.nan)
    encoded = encode_numbers(encoder, Values("price", column(2, 8, None, 5, True)))
    np.testing.assert_allclose(encoded.matrix[:, 0], [-3 / 5**0.5, 3 / 5**0.5, 0, 0, -4 / 5**0.5], rtol=1e-6)
    assert encoded.known.tolist() == [True, True, False, True, True]


def test_logs_keep_the_sign() -> None:
    encoder = numbers(-10, 10, log=True)
    assert encoder.mean == 0
    assert encoder.deviation == pytest.approx(math.log(11))
    found = encode_numbers(encoder, Values("price", np.array([-10, 0, 10]))).matrix[:, 0]
    np.testing.assert_allclose(found, [-1, 0, 1], atol=1e-6)


def test_a_broken_price_does_not_drown_a_row() -> None:
    found = encode_numbers(numbers(1, 2, 3), Values("price", np.array([1e30, -1e308]))).matrix[:, 0]
    assert found.tolist() == [10, -10]


@pytest.mark.parametrize("values", [(5, 5.0), (0.1, 0.1, 0.1), (0, 0)])
def test_one_number_for_all_is_no_feature(values: tuple[float, ...]) -> None:
    assert fit_numbers(NumberColumn(), Values("price", column(*values))) == "all rows have the same value"
    assert numbers(*values, None).deviation == 1  # here the missing ones differ


def test_a_column_of_nan_is_no_feature() -> None:
    assert fit_numbers(NumberColumn(), Values("price", np.full(3, np.nan))) == "no row has a value"


def test_what_is_no_number_is_refused_with_its_place() -> None:
    with pytest.raises(DataError, match=r"column 'price', row 1: -inf; expected a finite number or none"):
        numbers(1, -math.inf)
    with pytest.raises(DataError, match=r"column 'price', id 'b': expected a number, found 'cheap'"):
        encode_numbers(numbers(1, 2), Values("price", column(1, "cheap"), ["a", "b"]))
    with pytest.raises(DataError, match=r"column 'price', row 7: expected a number, found '\[1\]'"):
        fit_numbers(NumberColumn(), Values("price", column(*range(7), [1])).take(rows(3, 7)))


@SMALL
@given(
    st.lists(st.none() | st.floats(allow_infinity=False) | st.integers(-(10**300), 10**300), min_size=1, max_size=20),
    st.booleans(),
)
def test_any_numbers_give_bounded_features(values: list[float | None], log: bool) -> None:
    encoder = fit_numbers(NumberColumn(log=log), Values("n", column(*values)))
    if isinstance(encoder, Numbers):
        encoded = encode_numbers(encoder, Values("n", column(*values)))
        assert np.abs(encoded.matrix).max() <= 10
        assert encoded.known.tolist() == [value is not None and not math.isnan(value) for value in values]


def test_dates_are_days_and_places_on_circles() -> None:
    encoder = fit_dates(Values("day", column("2024-01-01", "2024-01-03", None)))
    assert isinstance(encoder, Dates)
    assert encoder == Dates(19724, 1)
    cells = column("2024-01-03", "2024-07-06T12:00:00", np.datetime64("NaT"), date(2024, 4, 4))
    encoded = encode_dates(encoder, Values("day", cells))
    assert encoded.matrix[:, 0].tolist() == [1, 10, 0, 10]
    np.testing.assert_allclose(encoded.matrix[:, 1:3], [[0, 1], [0, -1], [0, 0], [1, 0]], atol=1e-6)  # month
    assert not encoded.matrix[2].any()
    assert encoded.known.tolist() == [True, True, False, True]
    week = encode_dates(encoder, Values("day", column("2024-01-01", "2024-01-08"))).matrix
    np.testing.assert_allclose(week[0, 3:], week[1, 3:], atol=1e-6)  # both Mondays


def test_dates_of_every_form() -> None:
    day = 19723.5
    for value in (
        "2024-01-01T12:00:00",
        "2024-01-01 12:00:00+00:00",
        "2024-01-01T14:00:00+02:00",
        datetime(2024, 1, 1, 12, tzinfo=UTC),
        np.datetime64("2024-01-01T12:00"),
    ):
        assert parse_date(value) == day
    assert parse_date(" 1969-12-31 ") == -1


def test_what_is_no_date_is_refused_with_its_place() -> None:
    with pytest.raises(DataError, match=r"column 'day', row 1: expected an ISO date .*, found '31.12.2024'"):
        fit_dates(Values("day", column("2024-01-01", "31.12.2024")))
    with pytest.raises(DataError, match=r"column 'day', row 0: .*found '20240101'"):
        fit_dates(Values("day", column(20240101)))
    assert fit_dates(Values("day", column(None, ""))) == "no row has a value"
    assert fit_dates(Values("day", column("2024-01-01", "2024-01-01"))) == "all rows have the same value"


def test_vectors_as_they_are_or_of_length_one() -> None:
    cells = column([3, 4.0], None, [], (0, 0), np.array([math.nan, math.nan]))
    encoded = encode_vectors(vectors(cells), Values("image", cells))
    np.testing.assert_allclose(encoded.matrix, np.array([[0.6, 0.8], [0, 0], [0, 0], [0, 0], [0, 0]]), rtol=1e-6)
    assert encoded.known.tolist() == [True, False, False, True, False]
    plain = encode_vectors(vectors(cells, normalize=False), Values("image", cells))
    assert plain.matrix[0].tolist() == [3, 4]


def test_vectors_are_reduced() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 20))
    cells = column(*plane, None)
    encoder = vectors(cells, dim=3)
    encoded = encode_vectors(encoder, Values("image", cells))
    assert encoded.matrix.shape == (51, 2)  # there are no three
    unit = plane / np.linalg.norm(plane, axis=1, keepdims=True)
    np.testing.assert_allclose(encoded.matrix[:50] @ encoded.matrix[:50].T, unit @ unit.T, atol=1e-4)
    assert not encoded.known[50]


def test_broken_vectors_are_refused_with_their_place() -> None:
    encoder = vectors(column([1.0, 2.0], [1.0, 2.0], [1.0]))  # the most common length
    for value, message in (
        ([1.0], "expected a vector of length 2, found length 1"),
        ([[1.0, 2.0]], r"expected a vector of length 2, found shape \(1, 2\)"),
        ([1.0, "x"], "expected a list of 2 numbers"),
        ("ab", "expected a list of 2 numbers, found ab"),
        ([1.0, math.nan], "expected finite numbers, found NaN or inf"),
        ([1.0, 1e300], "expected finite numbers, found NaN or inf"),
    ):
        with pytest.raises(DataError, match=f"column 'image', id 'b': {message}"):
            encode_vectors(encoder, Values("image", column([1, 2], value), ["a", "b"]))
    assert fit_vectors(VectorColumn(), Values("image", column(None, [])), 0) == "no row has a value"


def test_vectors_of_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "images.npy")
    np.save(path, np.arange(6, dtype=np.float16).reshape(3, 2))
    values = Values("image", read_vectors(path, 3))
    encoder = fit_vectors(VectorColumn(path=path), values.take(rows(1, 2)), 0)
    assert isinstance(encoder, Vectors)
    expected = np.array([[0, 1], [2 / 13**0.5, 3 / 13**0.5]])
    np.testing.assert_allclose(encode_vectors(encoder, values).matrix[:2], expected, rtol=1e-6)
    with pytest.raises(DataError, match=r"expected numbers of shape \(4, length\).* found float16 of shape \(3, 2\)"):
        read_vectors(path, 4)
    with pytest.raises(DataError, match="column 'image': expected vectors of length 3, found 2"):
        encode_vectors(Vectors(3, None, normalize=True, path=path), values)
    (tmp_path / "images.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"images\.npy: not an npy array"):
        read_vectors(path, 3)
