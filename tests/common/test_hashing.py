"""Hashing of tokens, counts of collisions."""

import numpy as np
import pytest

from quire.common.layers.hashing import count_collisions, expected_collisions, hash_bucket, splitmix64, token_ids

MASK = 2**64 - 1


def by_integers(x):
    """The definition, in Python's integers."""
    z = (x + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_splitmix64_is_exact():
    numbers = [0, 1, 2, 255, 2**31, 2**32 - 1, 2**53 + 1, 2**63, MASK]
    np.testing.assert_array_equal(
        splitmix64(np.array(numbers, np.uint64)), np.array([by_integers(x) for x in numbers], np.uint64)
    )
    assert int(splitmix64(MASK)) == by_integers(MASK)
    for dtype in (np.uint8, np.int16, np.int32, np.int64):
        np.testing.assert_array_equal(splitmix64(np.array([[3, 100]], dtype)), [[by_integers(3), by_integers(100)]])


def test_buckets_are_those_of_the_definition():
    tokens, salt, rows = [0, 5, 2**63 + 7], 2**64 - 3, 1009
    expected = [by_integers(token ^ by_integers(salt)) % rows for token in tokens]
    found = hash_bucket(np.array(tokens, np.uint64), salt, rows)
    assert found.tolist() == expected
    assert found.dtype == np.int32
    assert hash_bucket(np.array(tokens, np.uint64), salt, 2**40).dtype == np.int64
    assert hash_bucket([], 0, 3).shape == (0,)
    assert hash_bucket(np.zeros((2, 0), int), 0, 3).shape == (2, 0)
    assert hash_bucket(7, 1, 1).tolist() == 0


def test_buckets_are_uniform_also_for_powers_of_two():
    for rows in (64, 100):
        counts = np.bincount(hash_bucket(np.arange(100 * rows), 3, rows), minlength=rows)
        assert ((counts - 100) ** 2 / 100).sum() < rows + 5 * (2 * rows) ** 0.5  # chi-squared, mean rows, variance 2 rows
    together = hash_bucket(np.arange(10_000), 1, 64) == hash_bucket(np.arange(10_000), 2, 64)
    assert abs(together.mean() - 1 / 64) < 0.005


def test_words_have_ids():
    ids = token_ids(["a", "b", "a", "ä"])
    assert ids.dtype == np.uint64
    assert ids[0] == ids[2]
    assert len(set(ids.tolist())) == 3
    assert token_ids([]).shape == (0,)


def test_collisions():
    assert expected_collisions(10, 9) == 5
    assert expected_collisions([4, 0, 1], 1.5) == 4
    buckets = np.array([3, 0, 3, 3, 0, 9])
    pairs = sum(buckets[i] == buckets[j] for i in range(6) for j in range(i))
    assert count_collisions(buckets) == pairs == 4
    assert count_collisions(np.zeros(0, int)) == 0
    counts = [count_collisions(hash_bucket(np.arange(50), salt, 40)) for salt in range(300)]
    assert abs(np.mean(counts) - expected_collisions(50, 40)) < 4 * np.std(counts) / 300**0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: splitmix64(np.array([1.0])), "x has dtype float64"),
        (lambda: splitmix64(np.array([True])), "x has dtype bool"),
        (lambda: splitmix64(np.array([-1])), "x has a minimum of -1"),
        (lambda: splitmix64(2**64), "x has dtype object"),
        (lambda: hash_bucket(np.array([-5]), 0, 3), "tokens has a minimum of -5"),
        (lambda: hash_bucket(np.array([5]), -1, 3), "salt has a minimum of -1"),
        (lambda: hash_bucket(np.array([5]), 0, 0), "rows is 0"),
        (lambda: hash_bucket(np.array(["a"]), 0, 3), "tokens has dtype"),
        (lambda: expected_collisions(3, 0), "rows is 0"),
        (lambda: expected_collisions([3, -1], 2), "cannot be negative"),
        (lambda: count_collisions(np.array([0.5])), "buckets has dtype"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()
