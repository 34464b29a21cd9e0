"""Distances between clouds and between sets of clouds: against loops and closed forms, invariances, and at the edge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.metrics.point_clouds import chamfer, chamfer_table, earth_mover, hausdorff, nearest_distances, set_metrics
from quire.common.testing import assert_degenerate, assert_dtypes, assert_gradients

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(5, 3)), RNG.normal(size=(7, 3))
D = np.linalg.norm(A[:, None] - B, axis=-1)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_chamfer_adds_both_directions(power, reduce):
    expected = getattr(np, reduce)(D.min(1) ** power) + getattr(np, reduce)(D.min(0) ** power)
    with jax.enable_x64():
        np.testing.assert_allclose(chamfer(jnp.asarray(A), jnp.asarray(B), power=power, reduce=reduce), expected, rtol=1e-12)


def test_a_table_holds_the_distances_of_all_pairs():
    a, b = RNG.normal(size=(3, 6, 3)), RNG.normal(size=(2, 5, 3))
    expected = [[chamfer(x, y) for y in b] for x in a]
    np.testing.assert_allclose(chamfer_table(a, b), expected, rtol=1e-5)
    assert_dtypes(chamfer_table, a, b)
    assert_degenerate(chamfer_table, a.astype(np.float32), b.astype(np.float32), axes=(0, 1))


def test_hausdorff_is_the_largest_nearest_distance_of_either_cloud():
    inside, around = np.zeros((1, 2)), np.array([[0.0, 0.0], [3.0, 4.0]])
    assert hausdorff(jnp.asarray(inside), jnp.asarray(around)) == hausdorff(jnp.asarray(around), jnp.asarray(inside)) == 5
    np.testing.assert_allclose(hausdorff(jnp.asarray(A), jnp.asarray(B)), max(D.min(0).max(), D.min(1).max()), rtol=1e-6)


def test_blocks_do_not_change_the_answer_and_far_clouds_keep_their_digits():
    a, b = jnp.asarray(A, jnp.float32), jnp.asarray(B, jnp.float32)
    assert (nearest_distances(a, b, block=2) == nearest_distances(a, b)).all()
    far = jnp.full((1, 3), 4096.0)
    assert nearest_distances(far, far + 0.5).item() == np.sqrt(np.float32(0.75))


def test_earth_mover_of_a_moved_and_shuffled_cloud_is_the_move():
    grid = np.stack(np.meshgrid(*[np.arange(3.0)] * 3), -1).reshape(-1, 3)
    np.testing.assert_allclose(earth_mover(grid, RNG.permutation(grid) + np.array([0.0, 0.3, 0.4])), 0.5, rtol=1e-9)
    assert earth_mover(A, A[::-1]) == 0
    assert earth_mover(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])) == 1  # not squared


def test_set_metrics_by_loops():
    clouds = RNG.normal(size=(9, 2))
    distances = np.linalg.norm(clouds[:, None] - clouds, axis=-1)
    found = set_metrics(distances[:4, :4], distances[:4, 4:], distances[4:, 4:])
    told = [min((distances[i, j], j) for j in range(9) if j != i)[1] < 4 for i in range(9)]
    assert found.nearest_neighbour == np.mean([t == (i < 4) for i, t in enumerate(told)])
    assert found.mmd == np.mean([min(distances[i, j] for i in range(4)) for j in range(4, 9)])
    assert found.coverage == len({min((distances[i, j], j) for j in range(4, 9))[1] for i in range(4)}) / 5


def test_a_set_against_itself():
    distances = np.linalg.norm(A[:, None] - A, axis=-1)
    assert set_metrics(distances, distances, distances) == (0, 1, 0)


def test_of_ties_the_smaller_index_and_generated_first():
    ones = np.ones((2, 2))
    assert set_metrics(ones, ones, ones) == (1, 0.5, 0.5)  # every nearest neighbour is generated, and the first reference covered


def test_gradients_at_and_away_from_equal_clouds():
    with jax.enable_x64():
        assert_gradients(chamfer, jnp.asarray(A), jnp.asarray(B))
    assert not jax.grad(chamfer)(jnp.asarray(A, jnp.float32), jnp.asarray(A, jnp.float32)).any()


@pytest.mark.parametrize("function", [chamfer, hausdorff])
def test_degenerate_inputs_and_dtypes(function):
    a, b = np.asarray(A[:3], np.float32), np.asarray(B[:4], np.float32)
    assert_degenerate(function, a, b)
    assert_dtypes(function, a, b)


def test_errors():
    with pytest.raises(ValueError, match="power is 3"):
        chamfer(A, B, power=3)
    for a, b in ((A[:0], B), (A, B[:, :2]), (A, B[0])):
        with pytest.raises(ValueError, match="at least one point"):
            hausdorff(a, b)
    with pytest.raises(ValueError, match="none empty"):
        chamfer_table(A[None], B[None, :, :2])
    with pytest.raises(ValueError, match="of one size"):
        earth_mover(A, B)
    with pytest.raises(ValueError, match="not finite"):
        earth_mover(A, A * np.nan)
    with pytest.raises(ValueError, match="a distance is NaN"):
        set_metrics(np.zeros((1, 1)), np.full((1, 1), np.nan), np.zeros((1, 1)))
    with pytest.raises(ValueError, match=r"they need \[g, g\]"):
        set_metrics(np.zeros((1, 1)), np.zeros((1, 2)), np.zeros((1, 1)))
