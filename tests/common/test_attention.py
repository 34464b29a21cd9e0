"""Conformance of every attention, and what is particular to each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.layers.attention import (
    MultiHeadAttention,
    attention,
    attention_weights,
    merge_heads,
    split_heads,
    streaming_attention,
)
from quire.common.layers.crate import MSSA
from quire.common.layers.tensor_attention import (
    TensorAttention,
    khatri_rao,
    low_rank_tensor_attention,
    tensor_attention,
)
from quire.common.testing import (
    assert_close,
    assert_equivariant,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
    max_relative_error,
)

# --- Operations: functions of queries, keys and values. A new one adds one line. ---

OPERATIONS = {
    "attention": attention,
    "streaming attention": lambda q, k, v: streaming_attention(q, k, v, block=3),
    "tensor attention, order 2": lambda q, k, v: tensor_attention(q, [k], [v]),
    "tensor attention, order 3": lambda q, k, v: tensor_attention(q, [k, k[..., ::-1, :]], [v, v]),
    "tensor attention, order 3, streamed": lambda q, k, v: tensor_attention(q, [k, k[..., ::-1, :]], [v, v], block=3),
    "tensor attention, order 4": lambda q, k, v: tensor_attention(q, [k, k, k], [v, v, v]),
    "low-rank tensor attention": lambda q, k, v: low_rank_tensor_attention(q, [k, k], [v, v], degree=4),
}


def qkv(n=7, m=5, d=3, c=4, batch=(), seed=0, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(seed), 3)
    shapes = ((n, d), (m, d), (m, c))
    return [0.7 * jax.random.normal(key, (*batch, *shape), dtype) for key, shape in zip(keys, shapes, strict=True)]


@pytest.mark.parametrize("name", OPERATIONS)
class TestOperation:
    def test_shapes_and_dtypes(self, name):
        for dtype in (jnp.float32, jnp.float64):
            with jax.enable_x64():
                out = OPERATIONS[name](*qkv(batch=(2, 3), dtype=dtype))
                assert out.shape == (2, 3, 7, 4)
                assert out.dtype == dtype

    def test_jit_and_vmap(self, name):
        assert_jit_consistent(OPERATIONS[name], *qkv())
        assert_vmap_consistent(OPERATIONS[name], *qkv(batch=(3,)))

    def test_derivatives(self, name):
        assert_gradients(OPERATIONS[name], *qkv(n=4, m=3), tolerance=1e-5)

    def test_queries_permute(self, name):
        q, k, v = qkv()
        permutation = jnp.array([3, 0, 6, 1, 5, 2, 4])
        assert_equivariant(
            lambda q: OPERATIONS[name](q, k, v),
            q,
            elements=[permutation],
            act_in=lambda g, x: x[g],
            act_out=lambda g, y: y[g],
            tolerance=1e-5,
        )

    def test_constant_values_come_through(self, name):
        q, k, _ = qkv()
        np.testing.assert_allclose(OPERATIONS[name](q, k, jnp.ones((5, 2))), 1.0, rtol=1e-5)

    def test_large_scores_stay_finite(self, name):
        q, k, v = qkv()
        if name.startswith("low-rank"):
            pytest.skip("a polynomial of degree 4 follows the exponential only while scores are small")
        assert np.isfinite(OPERATIONS[name](300 * q, 300 * k, v)).all()


# --- Modules: self-attention of tokens. A new one adds one line. ---

OPTIONS = {"num_heads": 2, "head_dim": 4}
MODULES = {
    "MultiHeadAttention": lambda causal, rngs: MultiHeadAttention(8, 2, causal=causal, rngs=rngs),
    "MSSA": lambda causal, rngs: MSSA(8, 2, causal=causal, rngs=rngs),
    "MSSA, linear": lambda causal, rngs: MSSA(8, 2, causal=causal, softmax=False, rngs=rngs),
    "TensorAttention": lambda causal, rngs: TensorAttention(8, **OPTIONS, causal=causal, rngs=rngs),
    "TensorAttention, streamed": lambda causal, rngs: TensorAttention(8, **OPTIONS, causal=causal, block=3, rngs=rngs),
}


@pytest.mark.parametrize("name", MODULES)
class TestModule:
    def test_tokens_permute(self, name):
        module = MODULES[name](False, nnx.Rngs(0))
        x = jax.random.normal(jax.random.key(1), (2, 6, 8))
        shuffled = jnp.array([5, 1, 0, 3, 2, 4])
        assert module(x).shape == x.shape
        assert_equivariant(
            module, x, elements=[shuffled], act_in=lambda g, x: x[:, g], act_out=lambda g, y: y[:, g], tolerance=1e-5
        )

    def test_causal_output_ignores_the_future_bit_for_bit(self, name):
        module = MODULES[name](True, nnx.Rngs(0))
        x = jax.random.normal(jax.random.key(1), (2, 6, 8))
        changed = x.at[:, 3:].add(1.0)
        np.testing.assert_array_equal(module(x)[:, :3], module(changed)[:, :3])
        assert not np.allclose(module(x)[:, 3:], module(changed)[:, 3:])

    def test_jit_vmap_and_gradients(self, name):
        module = MODULES[name](False, nnx.Rngs(0))
        x = jax.random.normal(jax.random.key(1), (3, 6, 8))
        assert_jit_consistent(module, x)
        assert_vmap_consistent(module, x)
        grads = nnx.grad(lambda m: jnp.sum(m(x) ** 2))(module)
        assert all(np.isfinite(g).all() and np.abs(g).max() > 0 for g in jax.tree.leaves(grads))


# --- Particular to attention ---


def brute_force(q, k, v, scale, allowed):
    """The definition, one query at a time, in NumPy float64."""
    out = np.zeros((len(q), v.shape[1]))
    for i in range(len(q)):
        scores = np.array([scale * q[i] @ k[j] if allowed[i, j] else -np.inf for j in range(len(k))])
        weights = np.exp(scores - scores[np.isfinite(scores)].max()) if allowed[i].any() else np.zeros(len(k))
        out[i] = weights @ v / max(weights.sum(), 1e-300)
    return out


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.booleans(), st.booleans(), st.integers(0, 99))
def test_streaming_equals_dense_equals_definition(n, m, block, causal, masked, seed):
    with jax.enable_x64():
        q, k, v = qkv(n, m, seed=seed, dtype=jnp.float64)
        mask = jax.random.bernoulli(jax.random.key(seed), 0.7, (n, m)) if masked else None
        allowed = np.ones((n, m), bool) if mask is None else np.array(mask)
        if causal:
            allowed &= np.tril(np.ones((n, m), bool))
        expected = brute_force(*map(np.asarray, (q, k, v)), 3**-0.5, allowed)
        assert np.abs(attention(q, k, v, mask=mask, causal=causal) - expected).max() < 1e-12
        assert np.abs(streaming_attention(q, k, v, mask=mask, causal=causal, block=block) - expected).max() < 1e-12


def test_streaming_derivatives_equal_dense_ones():
    with jax.enable_x64():
        q, k, v = qkv(batch=(2,), dtype=jnp.float64)
        mask = jax.random.bernoulli(jax.random.key(5), 0.6, (2, 7, 5))

        def total(operation):
            return jax.grad(lambda *a: jnp.sum(jnp.sin(operation(*a))), argnums=(0, 1, 2))(q, k, v)

        dense = total(lambda *a: attention(*a, mask=mask, causal=True))
        assert_close(total(lambda *a: streaming_attention(*a, mask=mask, causal=True, block=2)), dense, 1e-12)


def test_weights_are_distributions_and_rows_without_tokens_are_zero():
    q, k, _ = qkv()
    mask = jnp.ones((7, 5), bool).at[2].set(False)
    weights = attention_weights(q, k, mask=mask)
    np.testing.assert_allclose(weights.sum(-1), [1, 1, 0, 1, 1, 1, 1], atol=1e-6)


def test_heads_split_and_merge():
    x = jnp.arange(24.0).reshape(2, 12)
    np.testing.assert_array_equal(split_heads(x, 3)[1], x[:, 4:8])
    np.testing.assert_array_equal(merge_heads(split_heads(x, 3)), x)


def temporaries(function, *args):
    return jax.jit(function).lower(*args).compile().memory_analysis().temp_size_in_bytes


def test_streaming_memory_stays_flat_forward_and_backward():
    """Scores grow 16-fold from n = 1024 to 4096; the streamed form's temporaries grow at most with n."""
    small, large = (qkv(n, n, d=16, c=16) for n in (1024, 4096))
    for operation in (streaming_attention, jax.grad(lambda *a: streaming_attention(*a).sum(), argnums=(0, 1, 2))):
        few, many = temporaries(operation, *small), temporaries(operation, *large)
        assert many < 4.5 * few
        assert many < 4096**2  # a quarter of the scores in float32


def test_streaming_tensor_memory_stays_flat():
    """Scores grow 64-fold from n = 64 to 256."""

    def streamed(q, k, v):
        return tensor_attention(q, [k, k], [v, v], block="auto")

    small, large = (qkv(n, n, d=8, c=8) for n in (64, 256))
    assert temporaries(streamed, *large) < 5 * temporaries(streamed, *small)
    assert temporaries(streamed, *large) < 256**3 / 2


# --- Particular to tensor attention ---


def test_masks_and_causality_match_the_definition():
    with jax.enable_x64():
        rng = np.random.default_rng(0)
        n, sizes, d, c = 4, (4, 3), 3, 2
        q, ks, vs = rng.normal(size=(n, d)), [rng.normal(size=(s, d)) for s in sizes], [rng.normal(size=(s, c)) for s in sizes]
        masks = [np.array([True, False, True, True]), rng.random((n, 3)) < 0.8]
        out = np.zeros((n, c))
        for i in range(n):
            numerator, denominator = np.zeros(c), 0.0
            for a in range(4):
                for b in range(3):
                    if masks[0][a] and masks[1][i, b] and a <= i and b <= i:
                        weight = np.exp(0.5 * np.sum(q[i] * ks[0][a] * ks[1][b]))
                        numerator, denominator = numerator + weight * vs[0][a] * vs[1][b], denominator + weight
            out[i] = numerator / denominator if denominator else 0
        args = jnp.asarray(q), [jnp.asarray(k) for k in ks], [jnp.asarray(v) for v in vs]
        for block in (None, 2):
            result = tensor_attention(*args, scale=0.5, masks=[jnp.asarray(m) for m in masks], causal=True, block=block)
            assert max_relative_error(result, out) < 1e-12


def test_default_scale_is_one_over_d_not_its_root():
    q, k, v = qkv()
    assert_close(tensor_attention(q, [k], [v]), attention(q, k, v, scale=1 / 3), 1e-6)
    assert max_relative_error(tensor_attention(q, [k], [v]), attention(q, k, v)) > 1e-3


def test_low_rank_masks_and_tiles():
    with jax.enable_x64():
        q, k, v = qkv(n=11, m=9, dtype=jnp.float64)
        mask = jnp.arange(9) % 3 > 0
        whole = low_rank_tensor_attention(q, [k, k], [v, v], degree=6, masks=[mask, mask], block=None)
        tiled = low_rank_tensor_attention(q, [k, k], [v, v], degree=6, masks=[mask, mask], block=4)
        assert_close(tiled, whole, 1e-12)
        assert_close(whole, low_rank_tensor_attention(q, [k[mask]] * 2, [v[mask]] * 2, degree=6), 1e-12)
        assert_close(whole, tensor_attention(q, [k, k], [v, v], masks=[mask, mask]), 1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q, k, v: attention(q, k[:, :2], v), "q has 3 channels and k 2"),
        (lambda q, k, v: attention(q, k, v[:4]), "every key needs one value"),
        (lambda q, k, v: streaming_attention(q, k, v, block=0), "block is 0"),
        (lambda q, k, v: tensor_attention(q, [], []), "at least one memory"),
        (lambda q, k, v: tensor_attention(q, [k], [v, v]), "1 memories and vs 2"),
        (lambda q, k, v: tensor_attention(q, [k, k[:, :2]], [v, v]), "ks\\[1\\] has 2 channels"),
        (lambda q, k, v: tensor_attention(q, [k, k[:0]], [v, v[:0]]), "memory 1 is empty"),
        (lambda q, k, v: tensor_attention(q, [k, k], [v, v[:, :1]]), "values multiply elementwise"),
        (lambda q, k, v: tensor_attention(q, [k], [v], block=-1), "block is -1"),
        (lambda q, k, v: tensor_attention(q, [k], [v], masks=[jnp.ones(4, bool)]), "it must be boolean \\[5\\]"),
        (lambda q, k, v: low_rank_tensor_attention(q, [k], [v], degree=3), "radius is None"),
        (lambda q, k, v: low_rank_tensor_attention(q, [k], [v], degree=1, radius=2.0), "denominators"),
        (lambda q, k, v: low_rank_tensor_attention(q, [k], [v], degree=60), "more than 20000"),
        (lambda q, k, v: low_rank_tensor_attention(q, [30 * k], [v], degree=3, radius=1.0), "denominator falls to"),
        (lambda q, k, v: TensorAttention(8, num_heads=1, head_dim=4, order=1, rngs=nnx.Rngs(0)), "order is 1"),
        (lambda q, k, v: MultiHeadAttention(8, 3, rngs=nnx.Rngs(0)), "num_heads must divide dim"),
        (lambda q, k, v: khatri_rao(q, v), "columns"),
        (lambda q, k, v: khatri_rao(), "at least one matrix"),
    ],
)
def test_wrong_arguments_say_what_they_need(as_installed, call, message):
    with pytest.raises(ValueError, match=message):
        call(*qkv())
