"""Atlas: golden parity, properties, degenerate inputs, errors, presets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.atlas import PRESETS, Preset, paper, running_mean
from quire.common.claims import run
from quire.common.testing import assert_close, assert_equivariant, assert_jit_consistent, assert_vmap_consistent, cast


def numbers(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-12), (jnp.float32, 1e-6)])
def test_golden(golden, dtype, tolerance):
    with jax.enable_x64():
        case = cast(golden("atlas").case("running_mean"), dtype)
        assert_close(running_mean(case["x"]), case["y"], tolerance)


def test_shifts_and_scales_with_its_input():
    def act(g, y):
        return g[0] * y + g[1]

    elements = [(2.0, 0.0), (-1.0, 3.0)]
    assert_equivariant(running_mean, jnp.asarray(numbers(9)), elements=elements, act_in=act, act_out=act, tolerance=1e-5)


def test_jit_and_vmap():
    x = jnp.asarray(numbers(4, 9))
    assert_jit_consistent(running_mean, x)
    assert_vmap_consistent(running_mean, x)


@pytest.mark.parametrize("shape", [(3, 1), (2, 5), (0, 4)], ids=["one number", "constant", "no rows"])
def test_degenerate_inputs_have_a_mean_and_a_gradient(shape):
    x = jnp.full(shape, 7.0)
    value, gradient = jax.value_and_grad(lambda x: running_mean(x).sum())(x)
    np.testing.assert_allclose(running_mean(x), np.full(shape, 7.0))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_integers_and_narrow_floats_are_promoted_as_jax_does():
    np.testing.assert_allclose(running_mean(jnp.array([1, 2, 6], jnp.uint8)), [1.0, 1.5, 3.0])
    assert running_mean(jnp.ones(3, jnp.bfloat16)).dtype == jnp.bfloat16


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_no_number_is_refused(shape):
    with pytest.raises(ValueError, match="at least one number"):
        running_mean(jnp.zeros(shape))


def test_sizes_are_positive():
    with pytest.raises(ValueError, match="num_trials 0"):
        Preset(num_trials=0)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_programs_of_every_preset_fit_together(preset):
    x = jax.ShapeDtypeStruct((preset.num_trials, preset.num_samples), jnp.float32)
    assert jax.eval_shape(running_mean, x).shape == x.shape


def test_the_identity_holds():
    assert run(paper, claims=["C1"]).as_expected
