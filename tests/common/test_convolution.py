"""Convolutions: every way to compute them against XLA's, values and derivatives; the layers made of them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax import lax

from quire.common.layers import lowerings
from quire.common.layers.convolution import Conv, ConvNormAct, conv_nd, separable_conv
from quire.common.layers.initialisers import he_normal
from quire.common.layers.patch_net import PatchNet
from quire.common.testing import assert_close
from quire.common.train.batches import stacked_batch
from quire.common.train.seeds import fit_seeds

# space, kernel, (in, out), stride, padding, groups, dilation
CASES = {
    "1-D": ((9,), (3,), (2, 3), 1, "SAME", 1, 1),
    "1-D, stride leaves a rest, dilated": ((12,), (3,), (2, 4), 3, [(2, 1)], 2, 2),
    "plain": ((6, 5), (3, 3), (2, 3), 1, "SAME", 1, 1),
    "even kernel": ((6, 7), (2, 4), (2, 3), (1, 2), "SAME", 1, 1),
    "valid, stride leaves a rest": ((8, 6), (3, 2), (2, 3), (2, 3), "VALID", 1, 1),
    "uneven padding": ((5, 6), (3, 3), (1, 2), 2, [(0, 3), (2, 1)], 1, (1, 2)),
    "cut off": ((7, 6), (3, 3), (2, 2), 1, [(-1, 1), (0, -2)], 1, 1),
    "groups": ((6, 5), (3, 3), (6, 4), (2, 1), "SAME", 2, 1),
    "depthwise": ((6, 5), (3, 3), (3, 3), 2, "SAME", 3, 1),
    "depthwise, two kernels a channel": ((5, 6), (3, 2), (3, 6), 1, "SAME", 3, (2, 1)),
    "patches": ((5, 7), (2, 3), (2, 3), (2, 3), "SAME", 1, 1),
    "patches, groups, a rest": ((5, 7), (2, 2), (4, 6), 2, "VALID", 2, 1),
    "one tap, strided": ((5, 6), (1, 1), (2, 3), 2, "SAME", 1, 1),
    "3-D": ((4, 3, 5), (3, 2, 3), (2, 2), (1, 1, 2), "SAME", 1, 1),
    "3-D depthwise": ((3, 4, 3), (2, 3, 2), (2, 2), 1, "SAME", 2, (1, 1, 2)),
}
IMPLEMENTATIONS = ("auto", "canonical", "im2col", "shifted", "patches")


def arrays(space, size, channels, groups, batch=2, dtype=np.float64):
    rng = np.random.default_rng(0)
    shapes = (batch, *space, channels[0]), (*size, channels[0] // groups, channels[1])
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def reference(x, kernel, stride=1, padding="SAME", groups=1, dilation=1):
    dims = x.ndim - 2
    strides, dilation = ((v,) * dims if isinstance(v, int) else v for v in (stride, dilation))
    letters = "DHW"[3 - dims :]
    layout = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    return lax.conv_general_dilated(
        x, kernel, strides, padding, rhs_dilation=dilation, dimension_numbers=layout, feature_group_count=groups
    )


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_xla(case):
    space, size, channels, stride, padding, groups, dilation = CASES[case]
    options = {"stride": stride, "padding": padding, "groups": groups, "dilation": dilation}
    usable = [i for i in IMPLEMENTATIONS if i != "patches" or "patches" in case or "one tap" in case]

    @jax.jit
    def evaluate(x, kernel):
        def of(convolve):
            out, pull = jax.vjp(convolve, x, kernel)
            return out, *pull(jnp.sin(out))

        return of(lambda x, k: reference(x, k, **options)), [
            of(lambda x, k, i=i: conv_nd(x, k, **options, impl=i)) for i in usable
        ]

    with jax.enable_x64():
        expected, ours = evaluate(*arrays(space, size, channels, groups))
    for impl, result in zip(usable, ours, strict=True):
        for what, actual, wanted in zip(("output", "gradient of x", "gradient of the kernel"), result, expected, strict=True):
            np.testing.assert_allclose(actual, wanted, atol=1e-12, err_msg=f"{impl}: {what}")


def test_gradients_inside_a_loop_stay_in_the_layout_that_xla_computes_fast():
    """On CPU, a convolution in any other layout is a loop over single numbers; the compiler mends it outside of loops only."""

    def layouts(convolve):
        def step(state, _):
            return jax.tree.map(jnp.subtract, state, jax.grad(lambda x, k: jnp.sin(convolve(x, k)).sum(), (0, 1))(*state)), None

        program = jax.jit(lambda *state: lax.scan(step, state, length=3)[0])
        text = program.lower(*arrays((8, 8), (3, 3), (4, 6), 1, dtype=np.float32)).compile().as_text()
        return {word for word in text.replace(",", " ").split() if word.startswith("dim_labels=")}

    assert layouts(conv_nd) == {"dim_labels=b01f_01io->b01f"}
    assert layouts(reference) > {"dim_labels=b01f_01io->b01f"}, "XLA's own derivatives are canonical now: the layer can go"


def test_second_derivatives():
    with jax.enable_x64():
        x, kernel = arrays((5, 6), (3, 2), (2, 3), 1)

    @jax.jit
    def derivatives(x, kernel, v):
        def of(convolve):
            def slope(x):
                return jax.grad(lambda k: jnp.sin(convolve(x, k)).sum())(kernel)

            return jax.grad(lambda x: jnp.sum(slope(x) ** 2))(x), jax.jvp(slope, (x,), (v,))[1]

        return of(lambda x, k: conv_nd(x, k, stride=2, impl="canonical")), of(lambda x, k: reference(x, k, stride=2))

    with jax.enable_x64():
        ours, expected = derivatives(x, kernel, jnp.asarray(np.cos(x)))
    assert_close(ours, expected, 1e-12)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_models_side_by_side(axes):
    with jax.enable_x64():
        x, kernel = arrays((5, 6), (3, 2), (2, 3), 1)
        stacked = [a if axis is None else jnp.stack([a, 2 * a, a**2]) for a, axis in zip((x, kernel), axes, strict=True)]

    @jax.jit
    def of_all(x, kernel):
        def of(convolve):
            def both(x, kernel):
                out, pull = jax.vjp(convolve, x, kernel)
                return out, *pull(out)

            return jax.vmap(both, axes)(x, kernel)

        return of(lambda x, k: conv_nd(x, k, stride=2, impl="canonical")), of(lambda x, k: reference(x, k, stride=2))

    with jax.enable_x64():
        ours, expected = of_all(*stacked)
    assert_close(ours, expected, 1e-12)


def test_auto_depends_on_shapes_and_on_the_machine(monkeypatch):
    chosen = []
    for name in ("xla", "canonical", "im2col", "shifted", "patches"):

        def record(x, kernel, window, name=name):
            chosen.append(name)
            return x[..., : kernel.shape[-1]]

        monkeypatch.setattr(lowerings, name, record)
    x = jnp.ones((1, 6, 6, 4))
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        conv_nd(x, jnp.ones((3, 3, 4, 2)))
        conv_nd(x, jnp.ones((3, 3, 2, 2)), groups=2)
        conv_nd(x, jnp.ones((3, 3, 1, 4)), groups=4)
        conv_nd(x, jnp.ones((2, 2, 4, 2)), stride=2)
        conv_nd(x, jnp.ones((1, 1, 4, 2)))
    assert chosen == ["canonical", "canonical", "shifted", "patches", "patches"] + ["xla"] * 5


@pytest.mark.parametrize("impl", ["xla", *IMPLEMENTATIONS])
def test_an_empty_batch_and_every_dtype(impl):
    size, stride = ((2, 2), 2) if impl == "patches" else ((3, 3), 1)
    x, kernel = arrays((4, 4), size, (2, 3), 1, dtype=np.float32)

    convolve = jax.jit(partial(conv_nd, stride=stride, impl=impl))
    empty, pull = jax.vjp(convolve, x[:0], kernel)
    dx, dkernel = jax.jit(pull)(empty)
    assert empty.shape[0] == dx.shape[0] == 0
    assert dkernel.shape == kernel.shape and not np.any(dkernel)
    exact = np.asarray(convolve(x, kernel))
    for dtype in (jnp.bfloat16, jnp.float16):
        out = convolve(jnp.asarray(x, dtype), jnp.asarray(kernel, dtype))
        assert out.dtype == dtype
        np.testing.assert_allclose(np.asarray(out, np.float32), exact, atol=8 * jnp.finfo(dtype).eps * np.abs(exact).max())
    pixels = (100 * jnp.abs(x)).astype(jnp.uint8)
    np.testing.assert_allclose(convolve(pixels, kernel), convolve(pixels.astype(jnp.float32), kernel))


def test_halves_are_added_in_single_precision():
    """In bfloat16, 256 + 1 is 256."""
    x = np.ones((1, 17, 1, 2), np.float32)
    x[0, 0] = 256
    for groups in (1, 2):
        out = conv_nd(
            jnp.asarray(x, jnp.bfloat16),
            jnp.ones((17, 1, 2 // groups, 2), jnp.bfloat16),
            padding="VALID",
            groups=groups,
            impl="shifted",
        )
        assert out.tolist() == [[[[544 // groups] * 2]]]


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize(
    ("kernel", "options", "message"),
    [
        ((3, 4, 2), {}, "as many"),
        ((3, 3, 3, 2), {}, "kernel has 3 channels in each of 1 groups; x has 4"),
        ((3, 3, 4, 3), {"groups": 3}, "groups is 3 for 4 channels in and 3 out"),
        ((3, 3, 2, 3), {"groups": 2}, "groups is 2 for 4 channels in and 3 out"),
        ((3, 3, 4, 2), {"groups": 0}, "groups is 0"),
        ((3, 3, 4, 2), {"stride": 0}, "stride is 0; it must be a positive integer, or 2 of them"),
        ((3, 3, 4, 2), {"stride": (1, 2, 1)}, "stride is"),
        ((3, 3, 4, 2), {"stride": 1.5}, "stride is 1.5"),
        ((3, 3, 4, 2), {"dilation": -1}, "dilation is -1"),
        ((3, 3, 4, 2), {"padding": "same"}, "padding is 'same'"),
        ((3, 3, 4, 2), {"padding": [(1, 1)]}, "2 dimensions of space need as many pairs"),
        ((7, 3, 4, 2), {"padding": "VALID"}, "kernel covers \\(7, 3\\) places"),
        ((4, 3, 4, 2), {"padding": "VALID", "dilation": 2}, "kernel covers \\(7, 5\\)"),
        ((0, 3, 4, 2), {}, "every size must be at least 1"),
        ((3, 3, 4, 2), {"impl": "fft"}, "impl is 'fft'; it must be one of auto, xla"),
        ((3, 3, 4, 2), {"impl": "patches"}, "impl is 'patches' for a kernel of \\(3, 3\\)"),
    ],
)
def test_errors(kernel, options, message):
    with pytest.raises(ValueError, match=message):
        conv_nd(np.ones((2, 6, 6, 4), np.float32), np.ones(kernel, np.float32), **options)


@pytest.mark.usefixtures("as_installed")
def test_errors_of_layers():
    x = jnp.ones((2, 6, 6, 4))
    with pytest.raises(ValueError, match="one of them must be floating"):
        conv_nd(x.astype(int), jnp.ones((3, 3, 4, 2), int))
    with pytest.raises(ValueError, match="as many"):
        conv_nd(x[0, 0], jnp.ones((4, 2)))
    with pytest.raises(ValueError, match="pointwise reads 5 channels; depthwise makes 8"):
        separable_conv(x, jnp.ones((3, 3, 1, 8)), jnp.ones((5, 2)))
    with pytest.raises(ValueError, match="groups is 3"):
        Conv(4, 6, 3, groups=3, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="kernel_size is \\(3, 0\\)"):
        Conv(4, 6, (3, 0), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="dim 0"):
        PatchNet((8,), 0, rngs=nnx.Rngs(0))


def test_one_patch_without_norm_is_a_perceptron():
    net = PatchNet((5,), 3, patch=4, norm=None, act=jax.nn.relu, rngs=nnx.Rngs(0))
    images = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype(np.float32)
    (first, b), (last, c) = ((np.asarray(layer.kernel), np.asarray(layer.bias)) for layer in (net.stages[0], net.head))
    expected = np.maximum(images.reshape(2, 16) @ first.reshape(16, 5) + b, 0) @ last.reshape(5, 3) + c
    np.testing.assert_allclose(net(jnp.asarray(images)), expected, atol=1e-5)


def test_separable_is_depthwise_then_pointwise():
    x, depthwise = arrays((5, 6), (3, 3), (3, 6), 3, dtype=np.float32)
    pointwise = jnp.asarray(np.random.default_rng(1).normal(size=(6, 4)), jnp.float32)
    merged = np.einsum("hwcm,cmp->hwcp", np.reshape(depthwise, (3, 3, 3, 2)), np.reshape(pointwise, (3, 2, 4)))
    np.testing.assert_allclose(separable_conv(x, depthwise, pointwise), reference(x, jnp.asarray(merged)), atol=1e-5)


def test_weights_are_the_same_inside_a_trace_and_have_he_s_variance():
    key = jax.random.key(3)
    outside = he_normal(key, (3, 3, 40, 50))
    np.testing.assert_array_equal(jax.jit(lambda key: he_normal(key, (3, 3, 40, 50)))(key), outside)
    assert abs(np.var(outside) * 180 - 1) < 0.05
    assert not np.array_equal(he_normal(jax.random.key(4), (3, 3, 40, 50)), outside)


def test_blocks_of_three():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6, 6, 4)), jnp.float32)
    block = ConvNormAct(4, 6, 3, stride=2, groups=2, rngs=nnx.Rngs(0))
    assert block.conv.bias is None
    out = block(x)
    assert out.shape == (4, 3, 3, 6) and out.min() == 0
    bare = ConvNormAct(4, 6, (1, 1), norm=None, act=None, rngs=nnx.Rngs(0))
    bare.conv.bias[...] = jnp.arange(6.0)
    np.testing.assert_allclose(bare(x), np.asarray(x) @ np.asarray(bare.conv.kernel[...])[0, 0] + np.arange(6), atol=1e-5)


def test_patch_nets_learn_side_by_side():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (2, 30, 16))  # seeds, steps, batch
    images = rng.normal(size=(2, 30, 16, 9, 8, 1)).astype(np.float32)
    images[..., 0] += 2 * (labels[..., None, None] - 0.5) * np.cos(np.pi * np.arange(8))
    _, _, losses = fit_seeds(
        lambda rngs: PatchNet((8, 8), 2, rngs=rngs),
        optax.adam(1e-2),
        lambda model, batch, key: optax.softmax_cross_entropy_with_integer_labels(model(batch[0]), batch[1]).mean(),
        stacked_batch,
        (images, labels),
        steps=30,
        keys=jax.random.split(jax.random.key(0), 2),
    )
    assert losses.shape == (2, 30)
    assert np.all(losses[:, -5:].mean(1) < 0.3)


def test_a_patch_net_reads_sides_that_no_patch_divides():
    """Nothing is cut away: the last row and column of pixels count."""
    net = PatchNet((4, 4), 3, patch=4, in_channels=2, rngs=nnx.Rngs(0))
    x = jnp.zeros((1, 9, 7, 2))
    assert np.abs(net(x) - net(x.at[0, -1, -1, 0].set(1))).max() > 1e-4
