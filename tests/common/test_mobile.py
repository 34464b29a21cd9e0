"""Squeeze-and-excitation and inverted residuals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.layers.mobile import InvertedResidual, SqueezeExcite
from quire.common.layers.norms import BatchNorm
from quire.common.metrics.cost import count_params
from quire.common.testing import assert_degenerate, assert_dtypes


def bare(features, active):
    return jax.nn.relu if active else (lambda x: x)


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_squeeze_excite_is_its_definition():
    block, x = SqueezeExcite(4, 3, act=jnp.tanh, rngs=nnx.Rngs(0)), images(2, 3, 2, 4)
    first, second = (conv.kernel[0, 0] for conv in (block.squeeze, block.excite))
    gate = 1 / (1 + np.exp(-np.tanh(x.mean((1, 2)) @ first) @ second))
    np.testing.assert_allclose(block(jnp.asarray(x)), x * gate[:, None, None], rtol=1e-4, atol=1e-5)
    assert_degenerate(block, x)
    assert_dtypes(block, x, tolerance=1e-4)


def test_the_sum_is_there_where_the_shape_stays_and_the_end_has_no_activation():
    x = jnp.asarray(images(2, 4, 4, 3))
    for after, stride, adds in ((3, 1, True), (5, 1, False), (3, 2, False)):
        block = InvertedResidual(3, after, 2, stride=stride, norm=bare, rngs=nnx.Rngs(0))
        out = block(x)
        assert out.shape == (2, 4 // stride, 4 // stride, after) and float(out.min()) < 0
        block.project.kernel[...] = jnp.zeros_like(block.project.kernel[...])
        np.testing.assert_array_equal(block(x), x if adds else jnp.zeros_like(out))


def test_parameters_are_those_of_the_papers():
    """MobileNetV2's second block: 16 to 24 channels, expansion 6; and EfficientNet's first, with squeeze-and-excitation to 8."""

    def norm(features, active):
        return BatchNorm(features)

    wide = nnx.eval_shape(lambda: InvertedResidual(16, 24, 6, stride=2, norm=norm, rngs=nnx.Rngs(0)))
    assert count_params(wide) == 16 * 96 + 9 * 96 + 96 * 24 + 2 * (96 + 96 + 24)
    first = nnx.eval_shape(lambda: InvertedResidual(32, 16, 1, norm=norm, squeeze=0.25, rngs=nnx.Rngs(0)))
    assert count_params(first) == 9 * 32 + (32 * 8 + 8 + 8 * 32 + 32) + 32 * 16 + 2 * (32 + 16)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SqueezeExcite(4, 0, rngs=nnx.Rngs(0)), "squeezed is 0"),
        (lambda: InvertedResidual(4, 4, 0, norm=bare, rngs=nnx.Rngs(0)), "expansion is 0"),
        (lambda: InvertedResidual(4, 4, 2, norm=bare, squeeze=-1.0, rngs=nnx.Rngs(0)), "squeeze is -1.0"),
        (lambda: InvertedResidual(4, 0, 2, norm=bare, rngs=nnx.Rngs(0)), "channels are 8 and 0"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()
