"""Tables of codes with a largest length, and codes fitted to new examples."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from quire.common.testing import assert_degenerate, assert_dtypes
from quire.common.train.auto_decoder import CodeTable, bounded, fit_code, within


def lengths(codes):
    return np.linalg.norm(np.asarray(codes), axis=-1)


def test_codes_are_shortened_and_no_more(as_installed):
    codes = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    found = np.asarray(bounded(codes, 1.5))
    np.testing.assert_allclose(lengths(found), np.minimum(lengths(codes), 1.5), rtol=1e-6)
    short = lengths(codes) <= 1.5
    np.testing.assert_array_equal(found[short], codes[short])
    np.testing.assert_allclose(found / lengths(found)[:, None], codes / lengths(codes)[:, None], rtol=1e-5)
    assert_degenerate(lambda codes: bounded(codes, 1.5), codes)
    assert_dtypes(lambda codes: bounded(codes * 1.0, 1.5), codes)


def test_a_table_starts_within_its_bound_and_looks_up_within_it():
    table = CodeTable(300, 4, rngs=nnx.Rngs(0))
    start = np.asarray(table.codes[...])
    assert lengths(start).max() <= 1 + 1e-6
    assert 0.3 < (lengths(start) > 1 - 1e-6).mean() < 0.6  # chi distribution: so many were longer
    wide = np.asarray(CodeTable(3000, 4, 9.0, rngs=nnx.Rngs(0)).codes[...])
    np.testing.assert_allclose(wide.std(), 0.5, rtol=0.05)
    np.testing.assert_array_equal(table(jnp.array([[7], [2]])), start[[[7], [2]]])
    table.codes[...] = jnp.full((300, 4), 3.0)
    np.testing.assert_allclose(lengths(table(jnp.arange(5))), 1, rtol=1e-6)


def test_ids_out_of_range_are_refused(as_installed):
    table = CodeTable(3, 2, rngs=nnx.Rngs(0))
    for ids in ([3], [-1], [0.5]):
        with pytest.raises(ValueError, match="ids"):
            table(jnp.array(ids))
    for options, message in (({"n": 0}, "n is 0"), ({"dim": 0}, "dim is 0"), ({"max_norm": 0.0}, "max_norm is 0")):
        with pytest.raises(ValueError, match=message):
            CodeTable(**({"n": 2, "dim": 2} | options), rngs=nnx.Rngs(0))


def test_codes_never_exceed_their_bound_after_an_update():
    draw = np.random.default_rng(0)
    params = {"codes": jnp.asarray(bounded(draw.standard_normal((9, 3)), 1.0), jnp.float32), "net": jnp.ones((2, 3))}
    tx = optax.chain(optax.adam(0.7), within(1.0))
    state = tx.init(params)
    for _ in range(4):
        gradient = jax.tree.map(lambda x: jnp.asarray(draw.standard_normal(x.shape), x.dtype), params)
        updates, state = tx.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        assert lengths(params["codes"]).max() <= 1 + 1e-6
    assert lengths(params["net"]).max() > 1
    with pytest.raises(ValueError, match="max_norm is -1"):
        within(-1.0)


def test_fitting_changes_only_the_code():
    weights = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)
    kept, target = weights.copy(), jnp.array([0.5, -0.25])
    code, losses = jax.jit(lambda w: fit_code(lambda z: jnp.sum((z @ w - target) ** 2), jnp.zeros(3), 300, 0.05))(weights)
    np.testing.assert_allclose(code @ weights, target, atol=1e-3)
    np.testing.assert_array_equal(weights, kept)
    assert losses.shape == (300,)
    np.testing.assert_allclose(losses[0], np.sum(np.square(target)))


def test_parts_may_have_optimisers_of_their_own():
    tx = optax.partition({"a": optax.sgd(0.5), "b": optax.set_to_zero()}, {"a": "a", "b": "b"})
    code, _ = fit_code(lambda code: jnp.sum(code["a"] ** 2 + code["b"] ** 2) / 2, {"a": jnp.ones(2), "b": jnp.ones(2)}, 3, tx)
    np.testing.assert_allclose(code["a"], 0.125)
    np.testing.assert_array_equal(code["b"], 1)
    with pytest.raises(ValueError, match="steps is 0"):
        fit_code(jnp.sum, jnp.ones(1), 0)


def test_whole_numbers_are_shortened_too(as_installed):
    np.testing.assert_allclose(bounded(np.array([[3, 4]]), 1.0), [[0.6, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(bounded(np.array([[300, 400]], np.float16), 1.0), [[0.6, 0.8]], rtol=1e-3)
