"""Patches, transformer blocks, classifiers and language models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.layers.crate import CRATEBlock, CRATEDecoderBlock
from quire.common.layers.intermediates import capture
from quire.common.layers.patches import PatchEmbed, patchify, pool_tokens, sincos_positions_2d, unpatchify
from quire.common.layers.transformer import SwiGLU, TokenClassifier, TokenLM, TransformerBlock, next_token_loss, vit_block
from quire.common.testing import (
    assert_degenerate,
    assert_dtypes,
    assert_equivariant,
    assert_jit_consistent,
    assert_vmap_consistent,
)

# --- Blocks: maps of token sequences. A new one adds one line. ---

BLOCKS = {
    "TransformerBlock": lambda rngs: TransformerBlock(8, 2, rngs=rngs),
    "SwiGLU": lambda rngs: SwiGLU(8, 12, rngs=rngs),
    "SwiGLU, biases": lambda rngs: SwiGLU(8, 12, use_bias=True, rngs=rngs),
    "CRATEBlock": lambda rngs: CRATEBlock(8, 2, rngs=rngs),
    "CRATEDecoderBlock": lambda rngs: CRATEDecoderBlock(8, 2, rngs=rngs),
    "CRATEDecoderBlock, linear": lambda rngs: CRATEDecoderBlock(8, 2, softmax=False, rngs=rngs),
}


@pytest.mark.parametrize("name", BLOCKS)
class TestBlock:
    def test_shape_and_permutation(self, name):
        block = BLOCKS[name](nnx.Rngs(0))
        x = jax.random.normal(jax.random.key(1), (2, 5, 8))
        order = jnp.array([4, 0, 2, 1, 3])
        assert block(x).shape == x.shape
        assert_equivariant(block, x, elements=[order], act_in=lambda g, x: x[:, g], act_out=lambda g, y: y[:, g], tolerance=1e-5)

    def test_jit_vmap_and_gradients(self, name):
        block = BLOCKS[name](nnx.Rngs(0))
        x = jax.random.normal(jax.random.key(1), (2, 5, 8))
        assert_jit_consistent(block, x)
        assert_vmap_consistent(block, x)
        grads = nnx.grad(lambda b: jnp.sum(b(x) ** 2))(block)
        assert all(np.isfinite(g).all() and np.abs(g).max() > 0 for g in jax.tree.leaves(grads))

    def test_edges(self, name):
        block, x = BLOCKS[name](nnx.Rngs(0)), np.random.default_rng(0).standard_normal((2, 3, 8)).astype(np.float32)
        assert_degenerate(block, x, axes=(0, 1))
        assert_dtypes(block, x, dtypes=["uint8", "bfloat16"])

    def test_capture_finds_attention_and_plain_calls_keep_nothing(self, name):
        block = BLOCKS[name](nnx.Rngs(0))
        x = jax.random.normal(jax.random.key(1), (2, 5, 8))
        block(x)
        assert not jax.tree.leaves(nnx.state(block, nnx.Intermediate))
        out, seen = capture(block, x)
        np.testing.assert_array_equal(out, block(x))
        if not name.startswith("SwiGLU"):  # which has none
            assert seen["attention"]["attention"][0].shape == (2, 2, 5, 5)


# --- Patches ---


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_patches_are_tiles_in_reading_order_and_invert(rows, columns, patch, channels):
    image = jnp.arange(float(rows * patch * columns * patch * channels)).reshape(rows * patch, columns * patch, channels)
    patches = patchify(image, patch)
    assert patches.shape == (rows * columns, patch * patch * channels)
    r, c = rows - 1, columns // 2
    tile = image[r * patch : (r + 1) * patch, c * patch : (c + 1) * patch]
    np.testing.assert_array_equal(patches[r * columns + c], tile.reshape(-1))
    np.testing.assert_array_equal(unpatchify(patches, image.shape[:2], patch), image)


def test_sincos_positions_tell_rows_from_columns():
    positions = sincos_positions_2d(3, 5, 8, cls=True)
    assert positions.shape == (16, 8)
    assert not positions[0].any()
    grid = positions[1:].reshape(3, 5, 8)
    assert np.ptp(grid[..., :4], axis=0).max() == 0  # the first half knows the column only
    assert np.ptp(grid[..., 4:], axis=1).max() == 0
    np.testing.assert_allclose(grid[2, 3, :2], np.sin([3.0, 0.03]))
    np.testing.assert_allclose(grid[2, 3, 6:], np.cos([2.0, 0.02]))


def test_pooling():
    x = jnp.arange(12.0).reshape(1, 3, 4)
    np.testing.assert_array_equal(pool_tokens(x, "cls"), x[:, 0])
    np.testing.assert_array_equal(pool_tokens(x, "mean"), x.mean(1))


# --- Models ---


def classifier(**options):
    settings = {
        "image_size": (8, 8),
        "patch_size": 4,
        "channels": 1,
        "num_classes": 10,
        "dim": 8,
        "depth": 2,
        "block": vit_block(8, 2),
    }
    return TokenClassifier(**(settings | options), rngs=nnx.Rngs(0))


def test_vit_has_the_parameters_of_the_formula():
    model = classifier(dim=48, depth=3, block=vit_block(48, 4))
    assert sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param))) == 86202


def test_classifier_sees_every_patch():
    model = classifier()
    images = jax.random.normal(jax.random.key(0), (1, 8, 8, 1))
    assert model(images).shape == (1, 10)
    for r, c in ((0, 0), (0, 7), (7, 0), (7, 7)):
        assert not np.allclose(model(images.at[0, r, c].add(1.0)), model(images))


def test_language_model_is_causal_and_its_loss_is_cross_entropy():
    model = TokenLM(vocab_size=11, max_length=6, dim=8, depth=2, block=vit_block(8, 2, causal=True), rngs=nnx.Rngs(0))
    tokens = jnp.array([[1, 2, 3, 4, 5, 6]])
    changed = tokens.at[0, 3].set(9)
    np.testing.assert_array_equal(model(tokens)[:, :3], model(changed)[:, :3])
    logits, targets = model(tokens), jnp.array([[2, 3, 4, 5, 6, 7]])
    by_hand = -np.mean([np.log(np.exp(logits[0, t]) / np.exp(logits[0, t]).sum())[targets[0, t]] for t in range(6)])
    np.testing.assert_allclose(next_token_loss(logits, targets), by_hand, rtol=1e-5)
    assert next_token_loss(jnp.zeros((2, 3, 11)), jnp.zeros((2, 3), int)) == pytest.approx(np.log(11))


def language_model(**options):
    sizes = {"vocab_size": 11, "max_length": 6, "dim": 8, "depth": 1, "block": vit_block(8, 2, causal=True)}
    return TokenLM(**(sizes | options), rngs=nnx.Rngs(0))


def test_tokens_out_of_range_have_no_logits(as_installed):
    model = language_model()
    for wrong in (-1, 11):
        tokens = jnp.array([[0, wrong, 1]])
        with pytest.raises(ValueError, match="tokens runs from"):
            model(tokens)
        with pytest.raises(ValueError, match="targets runs from"):
            next_token_loss(jnp.zeros((1, 3, 11)), tokens)
        with jax.debug_nans(False):
            assert np.isnan(jax.jit(model)(tokens)[0, 1]).all()
            assert np.isnan(jax.jit(next_token_loss)(jnp.zeros((1, 3, 11)), tokens))
    assert np.isfinite(model(jnp.array([[3, 10]], jnp.uint8))).all()
    assert model(jnp.zeros((0, 4), jnp.int32)).shape == (0, 4, 11)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: patchify(jnp.zeros((8, 9, 1)), 4), "patch_size is 4; it must divide the image of 8 x 9"),
        (lambda: unpatchify(jnp.zeros((3, 16)), (8, 8), 4), "needs \\[4, 16"),
        (lambda: sincos_positions_2d(2, 2, 6), "multiple of 4"),
        (lambda: pool_tokens(jnp.zeros((2, 3)), "max"), "pool is 'max'"),
        (lambda: classifier(pool="sum"), "pool is 'sum'"),
        (lambda: classifier(patch_size=3), "patch_size is 3"),
        (lambda: classifier()(jnp.zeros((1, 8, 4, 1))), "images are \\(8, 4, 1\\)"),
        (lambda: PatchEmbed((8, 8), 0, 1, 4, rngs=nnx.Rngs(0)), "patch_size is 0"),
        (lambda: CRATEBlock(8, 3, rngs=nnx.Rngs(0)), "num_heads must divide dim"),
        (lambda: classifier(depth=-1), "depth is -1"),
        (lambda: classifier(num_classes=0), "num_classes is 0"),
        (lambda: language_model(vocab_size=0), "vocab_size is 0"),
        (lambda: language_model()(jnp.zeros((1, 3))), "tokens has dtype float32"),
        (lambda: TransformerBlock(8, 2, mlp_dim=0, rngs=nnx.Rngs(0)), "hidden_dim is 0"),
        (lambda: next_token_loss(jnp.zeros((2, 3, 5)), jnp.zeros((2, 1), int)), "each token needs one target"),
        (lambda: pool_tokens(jnp.zeros((2, 0, 3)), "mean"), "number of tokens is 0"),
        (lambda: sincos_positions_2d(0, 2, 4), "rows is 0"),
        (
            lambda: TokenLM(vocab_size=3, max_length=2, dim=4, depth=1, block=vit_block(4, 1), rngs=nnx.Rngs(0))(
                jnp.zeros((1, 3), int)
            ),
            "length 3; this model reads at most 2",
        ),
    ],
)
def test_wrong_arguments_say_what_they_need(as_installed, call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_swiglu_is_a_gated_mlp():
    mlp = SwiGLU(4, 6, rngs=nnx.Rngs(0))
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    gate, up, down = (np.asarray(part.kernel[...]) for part in (mlp.gate, mlp.up, mlp.down))
    gated = x @ gate
    np.testing.assert_allclose(mlp(jnp.asarray(x)), (gated / (1 + np.exp(-gated)) * (x @ up)) @ down, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="hidden_dim is 0"):
        SwiGLU(4, 0, rngs=nnx.Rngs(0))
