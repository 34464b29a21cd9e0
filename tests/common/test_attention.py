"""Conformance of every attention, and what is particular to each."""

import math
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.layers import streaming
from quire.common.layers.attention import (
    MultiHeadAttention,
    attention,
    attention_weights,
    head_size,
    merge_heads,
    split_heads,
    streaming_attention,
)
from quire.common.layers.crate import MSSA
from quire.common.layers.intermediates import capture
from quire.common.layers.tensor_attention import (
    TensorAttention,
    low_rank_tensor_attention,
    tensor_attention,
)
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_equivariant,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
    max_relative_error,
)

# --- Operations: functions of queries, keys and values. A new one adds one line. ---

OPERATIONS = {
    "attention": attention,
    "streaming attention": lambda q, k, v: streaming_attention(q, k, v, block=3),
    "tensor attention, order 3": lambda q, k, v: tensor_attention(q, [k, k[..., ::-1, :]], [v, v]),
    "tensor attention, order 3, streamed": lambda q, k, v: tensor_attention(q, [k, k[..., ::-1, :]], [v, v], block=3),
    "low-rank tensor attention": lambda q, k, v: low_rank_tensor_attention(q, [k, k], [v, v], degree=4),
}


COMPILED = {name: jax.jit(operation) for name, operation in OPERATIONS.items()}


def qkv(n=7, m=5, d=3, c=4, batch=(), seed=0, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(0.7 * rng.standard_normal((*batch, *shape)), dtype) for shape in ((n, d), (m, d), (m, c))]


@pytest.mark.parametrize("name", OPERATIONS)
class TestOperation:
    def test_shapes_and_dtypes(self, name):
        with jax.enable_x64():
            out = COMPILED[name](*qkv(batch=(2, 3), dtype=jnp.float64))
            assert out.shape == (2, 3, 7, 4)
            assert out.dtype == jnp.float64

    def test_jit_and_vmap(self, name):
        assert_jit_consistent(OPERATIONS[name], *qkv())
        assert_vmap_consistent(COMPILED[name], *qkv(batch=(3,)))

    def test_derivatives(self, name):
        assert_gradients(OPERATIONS[name], *qkv(n=4, m=3), tolerance=1e-5)

    def test_queries_permute(self, name):
        q, k, v = qkv()
        permutation = np.array([3, 0, 6, 1, 5, 2, 4])
        assert_equivariant(
            lambda q: COMPILED[name](q, k, v),
            q,
            elements=[permutation],
            act_in=lambda g, x: x[g],
            act_out=lambda g, y: y[g],
            tolerance=1e-5,
        )

    def test_constant_values_come_through(self, name):
        q, k, _ = qkv()
        np.testing.assert_allclose(COMPILED[name](q, k, np.ones((5, 4), np.float32)), 1.0, rtol=1e-5)

    def test_large_scores_stay_finite(self, name):
        q, k, v = qkv()
        if name.startswith("low-rank"):
            pytest.skip("a polynomial of degree 4 follows the exponential only while scores are small")
        assert np.isfinite(COMPILED[name](300 * q, 300 * k, v)).all()


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
    x = jnp.asarray(np.random.default_rng(1).standard_normal((3, 6, 8)), jnp.float32)

    def test_tokens_permute(self, name):
        module = jax.jit(MODULES[name](False, nnx.Rngs(0)))
        assert module(self.x).shape == self.x.shape
        assert_equivariant(
            module,
            self.x,
            elements=[np.array([5, 1, 0, 3, 2, 4])],
            act_in=lambda g, x: x[:, g],
            act_out=lambda g, y: y[:, g],
            tolerance=1e-5,
        )

    def test_causal_output_ignores_the_future_bit_for_bit(self, name):
        module = jax.jit(MODULES[name](True, nnx.Rngs(0)))
        changed = self.x + (np.arange(6) >= 3).astype(np.float32)[None, :, None]
        out, moved = np.asarray(module(self.x)), np.asarray(module(changed))
        np.testing.assert_array_equal(out[:, :3], moved[:, :3])
        assert not np.allclose(out[:, 3:], moved[:, 3:])

    def test_jit_vmap_and_gradients(self, name):
        module = MODULES[name](False, nnx.Rngs(0))
        assert_jit_consistent(module, self.x)
        assert_vmap_consistent(jax.jit(module), self.x)
        grads = nnx.jit(nnx.grad(lambda m: jnp.sum(m(self.x) ** 2)))(module)
        assert all(np.isfinite(g).all() and np.abs(g).max() > 0 for g in jax.tree.leaves(grads))


# --- Edges: degenerate inputs, dtypes, shapes that might broadcast ---

SMALL = [np.asarray(x) for x in qkv(n=3, m=2, d=2, c=2)]


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_at_the_edge(name):
    polynomial = name.startswith("low-rank")
    assert_degenerate(OPERATIONS[name], *SMALL, scales=(1e-30,) if polynomial else (1e-30, 1e6))
    assert_dtypes(OPERATIONS[name], *SMALL, dtypes=["uint8", "bfloat16"], tolerance=1e-4)
    if name in ("attention", "low-rank tensor attention"):  # the others share their arithmetic, and are compared with them
        assert_matches_float64(OPERATIONS[name], *SMALL)


@pytest.mark.parametrize("name", MODULES)
def test_modules_at_the_edge(name):
    module, x = MODULES[name](True, nnx.Rngs(0)), np.random.default_rng(0).standard_normal((2, 3, 8))
    assert_degenerate(module, x.astype(np.float32), axes=(0,))
    assert_dtypes(module, x, dtypes=["bfloat16"])


@pytest.mark.parametrize("name", [name for name in OPERATIONS if not name.startswith("low-rank")])
def test_no_queries_and_no_batch(name, as_installed):
    q, k, v = qkv()
    assert OPERATIONS[name](q[:0], k, v).shape == (0, 4)
    empty = [x[None][:0] for x in (q, k, v)]
    assert OPERATIONS[name](*empty).shape == (0, 7, 4)


def test_a_query_without_keys_gets_zeros(as_installed):
    q, k, v = qkv()
    for operation in (attention, streaming_attention):
        assert operation(q, k[:0], v[:0]).tolist() == [[0.0] * 4] * 7


def test_a_scale_may_be_traced_and_has_a_derivative():
    q, k, v = qkv()
    mask = jnp.arange(5) < 4

    @jax.jit
    def gradients(scale):
        def total(operation, **options):
            return jax.grad(lambda s: jnp.sum(jnp.sin(operation(q, scale=s, **options))))(scale)

        dense, streamed = total(attention, k=k, v=v, mask=mask), total(streaming_attention, k=k, v=v, mask=mask, block=2)
        tensors = [total(tensor_attention, ks=[k, k], vs=[v, v], block=block) for block in (None, 2)]
        low = total(low_rank_tensor_attention, ks=[k, k], vs=[v, v], degree=10)
        return dense, streamed, *tensors, low

    dense, streamed, exact, tiled, low = gradients(0.3)
    assert_close([streamed, tiled], [dense, exact], 1e-4)
    assert_close(low, exact, 1e-3)


@pytest.mark.parametrize("shape", [(7, 1), (5,), (2, 1, 5)])
def test_streamed_masks_broadcast_as_dense_ones(shape, as_installed):
    q, k, v = qkv(batch=(2,))
    mask = jnp.asarray(np.random.default_rng(0).random(shape) < 0.6)
    assert_close(streaming_attention(q, k, v, mask=mask, block=3), attention(q, k, v, mask=mask), 1e-5)


def test_low_rank_attention_of_whole_numbers(as_installed):
    q, k, v = np.array([[1], [-1]]), np.array([[1], [-2]]), np.array([[1.0], [-1.0]], np.float32)
    out = low_rank_tensor_attention(jnp.asarray(q), [jnp.asarray(k)], [jnp.asarray(v)], degree=6, scale=0.1)
    assert_close(out, low_rank_tensor_attention(*map(jnp.float32, (q,)), [jnp.float32(k)], [v], degree=6, scale=0.1), 1e-6)


def test_denominators_lost_to_rounding_are_no_numbers():
    rng = np.random.default_rng(0)
    q, k = rng.uniform(-11.5, -10, (30, 1)), 1 + 0.01 * rng.standard_normal((20, 1))
    arguments = [jnp.asarray(x, jnp.float32) for x in (q, k, rng.standard_normal((20, 1)))]

    def low_rank(q, k, v):
        return low_rank_tensor_attention(q, [k], [v], degree=34)

    with jax.debug_nans(False):
        assert np.isnan(jax.jit(low_rank)(*arguments)).all()
    with pytest.raises(ValueError, match="cancel to rounding"):
        low_rank(*arguments)


# --- Particular to attention ---


def brute_force(q, k, v, scale, allowed):
    """The definition, one query at a time, in NumPy float64."""
    out = np.zeros((len(q), v.shape[1]))
    for i in range(len(q)):
        scores = np.array([scale * q[i] @ k[j] if allowed[i, j] else -np.inf for j in range(len(k))])
        weights = np.exp(scores - scores[np.isfinite(scores)].max()) if allowed[i].any() else np.zeros(len(k))
        out[i] = weights @ v / max(weights.sum(), 1e-300)
    return out


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.booleans(), st.booleans(), st.integers(0, 99))
def test_streaming_equals_dense_equals_definition(n, m, block, causal, masked, seed):
    with jax.enable_x64():
        q, k, v = qkv(n, m, seed=seed, dtype=jnp.float64)
        mask = jnp.asarray(np.random.default_rng(seed).random((n, m)) < 0.7) if masked else None
        allowed = np.ones((n, m), bool) if mask is None else np.array(mask)
        if causal:
            allowed &= np.tril(np.ones((n, m), bool))
        expected = brute_force(*map(np.asarray, (q, k, v)), 3**-0.5, allowed)
        dense, streamed = (jax.jit(partial(f, causal=causal)) for f in (attention, partial(streaming_attention, block=block)))
        for operation in (dense, streamed):
            assert np.abs(np.asarray(operation(q, k, v, mask=mask)) - expected).max() < 1e-12


def test_streaming_derivatives_equal_dense_ones():
    with jax.enable_x64():
        q, k, v = qkv(batch=(2,), dtype=jnp.float64)
        mask = jnp.asarray(np.random.default_rng(5).random((2, 7, 5)) < 0.6)

        def total(operation):
            return jax.jit(jax.grad(lambda *a: jnp.sum(jnp.sin(operation(*a))), argnums=(0, 1, 2)))(q, k, v)

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
        return tensor_attention(q, [k, k], [v, v])

    small, large = (qkv(n, n, d=8, c=8) for n in (64, 256))
    assert temporaries(streamed, *large) < 5 * temporaries(streamed, *small)
    assert temporaries(streamed, *large) < 256**3 / 2


def test_attention_streams_where_dense_loses(monkeypatch):
    """Long sequences and large batches stream, with the output and the gradients of dense attention; the rest stays dense."""
    monkeypatch.setattr(streaming, "DENSE_ELEMENTS", {"one": 30, "all": 100})
    monkeypatch.setattr(streaming, "TILE_ELEMENTS", 8)
    calls = []
    streamed = streaming.streaming_softmax_attention
    for module in ("attention", "tensor_attention"):
        monkeypatch.setattr(
            f"quire.common.layers.{module}.streaming_softmax_attention", lambda *a: calls.append(a) or streamed(*a)
        )

    def of_tensors(q, k, v, block="auto"):
        return tensor_attention(q, [k], [v], block=block)

    for form in (attention, of_tensors):
        for arrays, expected in ((qkv(4, 4), 0), (qkv(7, 5), 1), (qkv(4, 4, batch=(2, 3)), 0), (qkv(4, 4, batch=(7,)), 1)):
            calls.clear()
            jax.eval_shape(lambda *a, form=form: form(*a), *arrays)  # a new function, which no cache has traced
            assert bool(calls) == bool(expected)
    for form, arrays in ((attention, qkv(7, 5)), (of_tensors, qkv(4, 4, batch=(7,)))):

        @partial(jax.jit, static_argnames="block")
        def gradients(*arrays, block, form=form):
            return jax.grad(lambda a: jnp.sum(jnp.sin(form(*a, block=block))))(arrays)

        assert_close(gradients(*arrays, block="auto"), gradients(*arrays, block=None), 1e-5)
    calls.clear()
    model = MultiHeadAttention(4, 2, rngs=nnx.Rngs(0))
    x = qkv(8, 8, d=4)[0]
    out, seen = capture(model, x)
    assert not calls and seen["attention"][0].shape == (2, 8, 8)  # what is captured must be computed
    assert_close(jax.jit(model)(x), out, 1e-5)
    assert calls


def test_batches_are_streamed_a_few_at_a_time(monkeypatch):
    arrays, tiles = qkv(3, 3, batch=(5,)), (3, 3)
    expected = attention(*arrays)

    def one(q, k, v):
        return streaming.streaming_softmax_attention(q, [k], [v], 3**-0.5, None, False, tiles)

    for elements in (8, 18, 1000):  # one at a time, two, all
        monkeypatch.setattr(streaming, "TILE_ELEMENTS", elements)
        assert_close(streaming.stream_batch(one, arrays, (5,), tiles), expected, 1e-5)


# --- Particular to tensor attention ---


def masked_enumeration(q, ks, vs, masks, causal):
    """Literal sum over the tuples that masks and causality allow; zeros where there are none."""
    out = np.zeros((len(q), vs[0].shape[1]))
    for i in range(len(q)):
        total = 0.0
        for index in product(*(range(len(k)) for k in ks)):
            allowed = all(np.broadcast_to(m, (len(q), m.shape[-1]))[i, j] for m, j in zip(masks, index, strict=True))
            if not allowed or (causal and max(index) > i):
                continue
            weight = np.exp(np.sum(q[i] * math.prod(k[j] for k, j in zip(ks, index, strict=True))) / q.shape[1])
            total += weight
            out[i] += weight * math.prod(v[j] for v, j in zip(vs, index, strict=True))
        out[i] /= total or 1.0
    return out


@settings(max_examples=5, deadline=None)
@given(st.data())
def test_tensor_attention_equals_its_definition(data):
    lengths = data.draw(st.lists(st.integers(1, 6), min_size=2, max_size=4), label="lengths")
    block = data.draw(st.one_of(st.just("auto"), st.integers(1, 7)), label="block")
    causal = data.draw(st.booleans(), label="causal")
    rng = np.random.default_rng(data.draw(st.integers(0, 9), label="seed"))
    per_query = data.draw(st.booleans(), label="mask per query")
    masks = [rng.random((lengths[0], n) if per_query else (n,)) < 0.7 for n in lengths[1:]]
    with jax.enable_x64():
        q, *ks = (jnp.asarray(rng.uniform(-2, 2, (n, 3))) for n in lengths)
        vs = [jnp.asarray(rng.uniform(-1, 1, (n, 2))) for n in lengths[1:]]
        form = jax.jit(tensor_attention, static_argnames=("causal", "block"))
        jmasks = [jnp.asarray(mask) for mask in masks]
        dense = form(q, ks, vs, masks=jmasks, causal=causal)
        streamed = form(q, ks, vs, masks=jmasks, causal=causal, block=block)
    expected = masked_enumeration(*jax.tree.map(np.asarray, (q, ks, vs)), masks, causal)
    np.testing.assert_allclose(dense, expected, atol=1e-13)
    np.testing.assert_allclose(streamed, expected, atol=1e-13)


def test_default_scale_is_one_over_d_not_its_root():
    q, k, v = qkv()
    assert_close(tensor_attention(q, [k], [v]), attention(q, k, v, scale=1 / 3), 1e-6)
    assert max_relative_error(tensor_attention(q, [k], [v]), attention(q, k, v)) > 1e-3


def test_low_rank_masks_and_tiles():
    with jax.enable_x64():
        q, k, v = qkv(n=11, m=9, dtype=jnp.float64)
        mask = jnp.arange(9) % 3 > 0
        low_rank = jax.jit(partial(low_rank_tensor_attention, degree=6), static_argnames="block")
        whole = low_rank(q, [k, k], [v, v], masks=[mask, mask], block=None)
        assert_close(low_rank(q, [k, k], [v, v], masks=[mask, mask], block=4), whole, 1e-12)
        assert_close(whole, low_rank(q, [k[mask]] * 2, [v[mask]] * 2), 1e-12)
        assert_close(whole, tensor_attention(q, [k, k], [v, v], masks=[mask, mask]), 1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q, k, v: attention(q, k[:, :2], v), "q has 3 channels and k 2"),
        (lambda q, k, v: attention(q, k, v[:4]), "every key needs one value"),
        (lambda q, k, v: streaming_attention(q, k, v, block=0), "block is 0"),
        (lambda q, k, v: attention(q, k, v, block="large"), "block is large"),
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
        (lambda q, k, v: attention(q, k, v, mask=jnp.zeros((7, 5))), "mask has dtype float32; it must be boolean"),
        (lambda q, k, v: attention(q[:, :0], k[:, :0], v), "q has 0 channels"),
        (lambda q, k, v: streaming_attention(q[None], k[None].repeat(2, 0), v[None]), "batch shapes \\(1,\\), \\(2,\\)"),
        (lambda q, k, v: tensor_attention(q, [k], [v], block="large"), "block is large"),
        (lambda q, k, v: low_rank_tensor_attention(q, [k], [v], degree=2, block=0), "block is 0"),
        (lambda q, k, v: low_rank_tensor_attention(q, [k], [v], degree=1, radius=-1.0), "radius is -1.0"),
        (lambda q, k, v: attention(q.astype(complex), k, v), "dtype complex64; it must hold real numbers"),
        (lambda q, k, v: split_heads(q, 2), "num_heads is 2; it must divide the 3 channels"),
        (lambda q, k, v: head_size(8, -2), "num_heads is -2"),
        (lambda q, k, v: head_size(8, 2, 0), "head_dim is 0"),
        (lambda q, k, v: MSSA(8, -2, rngs=nnx.Rngs(0)), "num_heads is -2"),
    ],
)
def test_wrong_arguments_say_what_they_need(as_installed, call, message):
    with pytest.raises(ValueError, match=message):
        call(*qkv())
