"""Residual networks: sizes that are published, a block by hand, PyTorch's names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.signal import correlate

from quire.common.checkpoints import load
from quire.common.layers.resnet import ConvNorm, ResidualBlock, ResNet, resnet18, resnet50, torch_names
from quire.common.metrics.cost import count_params, macs
from quire.common.testing import assert_close


def abstract(make, **options):
    return nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0), **options))


@pytest.mark.parametrize(("make", "dim", "params", "giga"), [(resnet18, 512, 11_176_512, 1.8), (resnet50, 2048, 23_508_032, 4.1)])
def test_published_sizes(make, dim, params, giga):
    model = abstract(make)
    assert count_params(model) == params
    graph, state = nnx.split(model)
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)

    def in_evaluation(state):
        net = nnx.merge(graph, state)
        net.eval()
        return net

    maps = jax.eval_shape(lambda state, x: in_evaluation(state).maps(x), state, images)
    assert [m.shape[1] for m in maps] == [56, 28, 14, 7]
    assert maps[-1].shape[-1] == dim
    assert macs(lambda state, x: in_evaluation(state)(x), state, images) == pytest.approx(giga * 1e9, rel=0.03)


@pytest.fixture(scope="module")
def block():
    made = ResidualBlock(2, 3, 1, 2, rngs=nnx.Rngs(0))
    made.eval()
    return made


def by_hand(part, x, stride):
    """Convolution with PyTorch's padding by SciPy, batch normalisation with its running statistics."""
    kernel = np.asarray(part.conv.kernel[...], float)
    half = kernel.shape[0] // 2
    padded = np.pad(x, ((half, half), (half, half), (0, 0)))
    maps = [correlate(padded, kernel[..., o], mode="valid")[::stride, ::stride, 0] for o in range(kernel.shape[-1])]
    mean, var, scale, shift = (np.asarray(getattr(part.norm, n)[...], float) for n in ("mean", "var", "scale", "shift"))
    return (np.stack(maps, -1) - mean) / np.sqrt(var + 1e-5) * scale + shift


def test_a_block_is_its_formula(block):
    rng = np.random.default_rng(0)
    for part in (*block.layers, block.shortcut):
        part.norm.mean[...], part.norm.var[...] = (
            jnp.asarray(v, jnp.float32) for v in (rng.normal(size=3), rng.uniform(1, 2, 3))
        )
    x = rng.normal(size=(6, 6, 2))
    inner = np.maximum(by_hand(block.layers[0], x, 2), 0)
    expected = np.maximum(by_hand(block.layers[1], inner, 1) + by_hand(block.shortcut, x, 2), 0)
    assert_close(block(jnp.asarray(x[None], jnp.float32))[0], expected, 1e-5)


def test_shortcut_only_where_shapes_change():
    assert ResidualBlock(4, 4, 1, 1, rngs=nnx.Rngs(0)).shortcut is None
    bottleneck = ResidualBlock(4, 4, 4, 1, rngs=nnx.Rngs(0))
    assert bottleneck.shortcut is not None and [x.conv.kernel.shape[0] for x in bottleneck.layers] == [1, 3, 1]


def test_weights_load_under_the_names_of_pytorch():
    model = ResNet((1, 2), width=4, expansion=4, rngs=nnx.Rngs(0))
    names = torch_names(model)
    rng = np.random.default_rng(0)
    state = {}
    for path, source in names.items():
        variable = dict(nnx.to_flat_state(nnx.state(model)))[path]
        state[source.names[0]] = rng.uniform(0.5, 1, source.shape(variable.shape)).astype(np.float32)
    assert {"conv1.weight", "bn1.running_var", "layer2.1.conv3.weight", "layer1.0.downsample.1.bias"} <= set(state)
    assert state["layer1.0.conv2.weight"].shape == (4, 4, 3, 3) and "layer2.1.downsample.0.weight" not in state
    load(model, state, names)
    loaded = model.stages[0][0].layers[1].conv.kernel
    assert loaded[1, 2, 3, 0] == state["layer1.0.conv2.weight"][0, 3, 1, 2]
    with pytest.raises(ValueError, match=r"missing: bn1\.running_var"):
        load(model, {n: x for n, x in state.items() if n != "bn1.running_var"}, names)


def test_stems():
    images = jnp.ones((1, 16, 16, 1))
    sides = {
        stem: ResNet((1,), width=2, stem=stem, in_channels=1, rngs=nnx.Rngs(0)).maps(images)[0].shape[1]
        for stem in ("imagenet", "cifar")
    }
    assert sides == {"imagenet": 4, "cifar": 16}
    assert ConvNorm(1, 2, 3, 2, rngs=nnx.Rngs(0))(images).shape == (1, 8, 8, 2)
    for message, options in (("stem is 'x'", {"stem": "x"}), ("width 0", {"width": 0})):
        with pytest.raises(ValueError, match=message):
            ResNet((1,), rngs=nnx.Rngs(0), **options)
    with pytest.raises(ValueError, match="there must be a stage"):
        ResNet((), rngs=nnx.Rngs(0))
