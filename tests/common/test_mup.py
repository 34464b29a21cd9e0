"""muP layers: parametrisations, finite networks, optimisers, quadrature, kernels, the Tensor-Program interpreter."""

import warnings
from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.layers.intermediates import sow
from quire.common.mup import (
    ABC,
    ABCMLP,
    Readout,
    TensorProgram,
    coord_check,
    gauss_hermite,
    gaussian_particles,
    mlp,
    mup_adam,
    mup_sgd,
    padded_normals,
    readout,
    relu_covariance,
    relu_gp,
    relu_ntk,
    scales,
    standard_normals,
    step_covariance,
    train_abc,
    width_exponent,
    width_shapes,
)
from quire.common.mup.arc_cosine import relu_correlation
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
)

exponents = st.fractions(-2, 2, max_denominator=8)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


# --- Parametrisations ---


@settings(max_examples=60, deadline=None)
@given(depth=st.integers(1, 4), theta=exponents, data=st.data())
def test_shift_keeps_everything(depth, theta, data):
    a, b = (tuple(data.draw(exponents) for _ in range(depth + 1)) for _ in "ab")
    abc = ABC(a, b, data.draw(exponents))
    assert abc.shift(theta).r == abc.r
    assert abc.shift(theta).classify() == abc.classify()
    assert abc.shift(theta).shift(-theta) == abc
    kinds = abc.classify()
    assert kinds.nontrivial == (kinds.feature != kinds.kernel)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_named_parametrisations(depth):
    assert ABC.maximal_update(depth).classify().feature
    assert ABC.ntk(depth).classify().kernel
    assert ABC.standard(depth, 1).classify().kernel
    assert not ABC.standard(depth).classify().stable
    assert ABC.maximal_update(depth).r == 0 and ABC.ntk(depth).r == Fraction(1, 2)
    assert ABC.maximal_update(1).shift(Fraction(1, 2)) == ABC.mean_field()


def test_abc_errors():
    for call, message in (
        (lambda: ABC((0, 0), (0,), 0), "a has 2 exponents and b 1"),
        (lambda: ABC((0,), (0,), 0), "a and b have length 1"),
        (lambda: ABC.ntk(0), "depth is 0"),
        (lambda: ABC.from_exponents([0, 0]), "exponents has length 2"),
        (lambda: scales(ABC.ntk(1), 0), "width is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_function_does_not_see_a_shift():
    with jax.enable_x64():
        X, y = (x.astype(float) for x in (normal(0, 4, 3), normal(1, 4, 2)))
        normals = tuple(w.astype(float) for w in standard_normals(jax.random.key(2), 3, 16, 2, 2))
        run = [train_abc(normals, scales(abc, 16), X, y, 0.3, jnp.tanh)[2] for abc in (ABC.ntk(2), ABC.ntk(2).shift(0.4))]
        assert_close(run[0], run[1], 1e-12)
        assert run[0].dtype == jnp.float64


def test_centred_training_starts_at_zero():
    X, y = normal(0, 3, 2), normal(1, 3, 1)
    normals = standard_normals(jax.random.key(0), 2, 8, 1)
    initial, _, outputs = train_abc(normals, scales(ABC.ntk(1), 8), X, y, 0.0, jnp.tanh, centred=True)
    assert_close(outputs + 1, np.ones((3, 1)), 1e-6)
    f, hidden = mlp(initial, scales(ABC.ntk(1), 8).multipliers, X, jnp.tanh)
    assert f.shape == (3, 1) and hidden[0].shape == (3, 8)


def test_train_abc_error(as_installed):
    normals = standard_normals(jax.random.key(0), 2, 8, 1)
    with pytest.raises(ValueError, match="X has 3 examples and y 2"):
        train_abc(normals, scales(ABC.ntk(1), 8), normal(0, 3, 2), normal(1, 2, 1), 0.1, jnp.tanh)


def test_module_is_the_function():
    model = ABCMLP(3, 16, 2, ABC.maximal_update(2), rngs=nnx.Rngs(0))
    x = normal(0, 5, 3)
    weights = tuple(w[...] for w in model.weights)
    assert_close(model(x), mlp(weights, scales(ABC.maximal_update(2), 16).multipliers, x, jnp.tanh)[0], 1e-6)
    assert_jit_consistent(model, x)
    assert_vmap_consistent(model, x)
    assert model.learning_rate(0.3) == 0.3
    with pytest.raises(ValueError, match="eta is -1"):
        model.learning_rate(-1)
    for train in (lambda: ABCMLP(3, 16, 2, ABC.standard(2), rngs=nnx.Rngs(0)), lambda: scales(ABC.standard(2), 16)):
        with pytest.warns(UserWarning, match=r"not stable \(r = -1\)"):
            train()


# --- Optimisers ---


class Small(nnx.Module):
    def __init__(self, width, head=lambda linear: linear, *, rngs):
        self.first, self.second = nnx.Linear(3, width, rngs=rngs), nnx.Linear(width, width, rngs=rngs)
        self.head = head(nnx.Linear(width, 2, rngs=rngs))

    def __call__(self, x):
        h = self.second(jnp.tanh(self.first(x)))
        sow(self, "h", h)
        return self.head(jnp.tanh(h))


def factors(tx, model, name):
    """What the optimiser multiplies a gradient of ones by, for the kernel and bias of every layer."""
    params = nnx.state(model, nnx.Param)
    updates = tx.update(jax.tree.map(jnp.ones_like, params), tx.init(params), params)[0]
    flat = {jax.tree_util.keystr(path): float(np.ravel(x)[0]) for path, x in jax.tree_util.tree_leaves_with_path(updates)}
    return [next(v for k, v in flat.items() if layer in k and name in k) for layer in ("first", "second", "head")]


def test_rates_follow_the_shapes():
    base, wide = width_shapes(Small(8, rngs=nnx.Rngs(0))), Small(32, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(factors(mup_sgd(1.0, base), wide, "kernel"), [-4, -1, -4])
    np.testing.assert_allclose(factors(mup_sgd(1.0, base), wide, "bias"), [-4, -4, -1])
    np.testing.assert_allclose(factors(mup_adam(1.0, base), wide, "kernel"), [-1, -0.25, -1], rtol=1e-5)
    np.testing.assert_allclose(factors(mup_adam(1.0, base), wide, "bias"), [-1, -1, -1], rtol=1e-5)


def test_at_the_base_width_nothing_changes():
    model = Small(8, rngs=nnx.Rngs(0))
    tx, plain = mup_sgd(0.1, width_shapes(model), momentum=0.9), optax.sgd(0.1, 0.9)
    params = nnx.state(model, nnx.Param)
    assert_close(tx.update(params, tx.init(params))[0], plain.update(params, plain.init(params))[0], 1e-7)


def test_optimiser_errors():
    tree = {"w": jnp.ones((4, 4, 4))}
    for base, message in (
        ({}, "w'\\] is not in the base model"),
        ({"['w']": (4, 4)}, "need as many axes"),
        ({"['w']": (2, 2, 2)}, "at most 2 axes"),
    ):
        tx = mup_sgd(0.1, base)
        with pytest.raises(ValueError, match=message):
            tx.update(tree, tx.init(tree))


def test_readout():
    linear = nnx.Linear(32, 2, rngs=nnx.Rngs(0))
    head, x = readout(linear, 8), normal(0, 5, 32)
    assert_close(head(x), linear(x) / 2, 1e-5)  # sqrt(32 / 8) larger weights, 8 / 32 as multiplier; zero bias
    assert_close(Readout(32, 2, base_width=8, rngs=nnx.Rngs(0))(x) + 1, np.ones((5, 2)), 1e-6)
    assert Readout(32, 2, base_width=8, use_bias=False, rngs=nnx.Rngs(0)).bias is None
    with pytest.raises(ValueError, match="width is 0"):
        Readout(0, 2, base_width=8, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="base_width is 0"):
        readout(linear, 0)


def test_sgd_under_mup_is_the_parametrisation():
    """Shapes and multiplier give muP itself: a wide network trained either way has the same outputs."""
    width, base_width, eta = 32, 8, 0.3
    X, y = normal(0, 4, 3), normal(1, 4, 1)
    normals = standard_normals(jax.random.key(2), 3, width, 2)
    scale = scales(ABC.maximal_update(2), width)
    expected = train_abc(normals, scale._replace(initial=scale.initial.at[-1].set(0)), X, y, eta, jnp.tanh)[2]
    # f = (base / n) head . x, with rates n / base times the base's for vectors. In muP: dU = eta n, d(nV) = eta n, dW = eta.
    rates = {"first": eta * base_width, "second": eta, "head": eta / base_width}
    weights = {"first": normals[0], "second": normals[1] / width**0.5, "head": jnp.zeros((width, 1))}
    shapes = width_shapes(jax.tree.map(lambda w: jnp.zeros([min(n, base_width) for n in w.shape]), weights))
    tx, seen = mup_sgd(1.0, shapes), []

    def output(weights, x):
        return jnp.tanh(jnp.tanh(x @ weights["first"]) @ weights["second"]) @ weights["head"] * (base_width / width)

    for x, target in zip(X, y, strict=True):
        seen.append(output(weights, x))
        gradient = jax.grad(lambda w, x=x, t=target: jnp.sum((output(w, x) - t) ** 2) / 2)(weights)
        gradient = {name: rates[name] * g for name, g in gradient.items()}
        weights = optax.apply_updates(weights, tx.update(gradient, tx.init(weights))[0])
    assert_close(jnp.stack(seen), expected, 1e-4)


def test_coordinate_check_tells_them_apart():
    x, y = normal(0, 16, 3), normal(1, 16, 2)
    head = partial(readout, base_width=16)
    base = width_shapes(Small(16, head, rngs=nnx.Rngs(0)))

    def loss(model):
        return jnp.mean((model(x) - y) ** 2)

    widths = (16, 64, 256)
    mup = coord_check(lambda n: Small(n, head, rngs=nnx.Rngs(0)), widths, x, loss, lambda _: mup_adam(1e-2, base))
    plain = coord_check(lambda n: Small(n, rngs=nnx.Rngs(0)), widths, x, loss, lambda _: optax.adam(1e-2))
    (name,) = mup.movement
    assert abs(mup.exponents()[name]) < 0.25 < plain.exponents()[name]
    with pytest.raises(ValueError, match="sows no activations"):
        coord_check(lambda n: nnx.Linear(3, n, rngs=nnx.Rngs(0)), widths, x, lambda m: m(x).sum(), lambda _: optax.sgd(0.1))
    with pytest.raises(ValueError, match="number of widths is 2"):
        coord_check(lambda n: Small(n, rngs=nnx.Rngs(0)), (16, 64), x, loss, lambda _: optax.sgd(0.1))


def test_width_exponent():
    slope, (low, high) = width_exponent([2, 4, 8, 16], [1, 2.1, 3.9, 8.2])
    assert low < slope < high and abs(slope - 1) < 0.1
    with pytest.raises(ValueError, match="widths has 2 points"):
        width_exponent([1, 2], [1, 2])
    with pytest.raises(ValueError, match="must be positive"):
        width_exponent([1, 2, 3], [1, 0, 2])


# --- Quadrature and kernels ---


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_quadrature_moments(dim):
    z, w = gauss_hermite(6, dim)
    assert z.shape == (6**dim, dim)
    assert_close(np.einsum("n,ni,nj->ij", w, z, z), np.eye(dim), 1e-12)
    assert abs(w @ z[:, 0] ** 4 - 3) < 1e-10
    particles, weights = gaussian_particles(jax.random.key(0), 1000, dim)
    assert abs(float((weights @ particles).sum())) < 1e-6
    with pytest.raises(ValueError, match="points is 0"):
        gauss_hermite(0, dim)
    with pytest.raises(ValueError, match="more than 2000000 nodes"):
        gauss_hermite(200, 4)
    with pytest.raises(ValueError, match="count is 3"):
        gaussian_particles(jax.random.key(0), 3, dim)


def test_kernels_are_expectations():
    x = np.random.default_rng(0).normal(size=(3, 2))
    z, w = gauss_hermite(300, 2)
    relu, step = np.maximum(x @ z.T, 0), (x @ z.T > 0).astype(float)
    with jax.enable_x64():
        assert_close(relu_gp(x := jnp.asarray(x), x), relu * w @ relu.T, 5e-3)
        assert_close(relu_ntk(x, x), relu * w @ relu.T + (step * w @ step.T) * np.asarray(x @ x.T), 1e-2)
        assert_close(relu_covariance(x @ x.T + 0.1 * jnp.eye(3))[0, 0], (x @ x.T)[0, 0] / 2 + 0.05, 1e-12)
        assert_close(jnp.diagonal(step_covariance(x @ x.T)), 0.5 * np.ones(3), 1e-6)
        assert_gradients(lambda c: relu_correlation(c).sum(), np.array([-0.9, 0.0, 0.5]))
    assert_close(jax.grad(lambda c: relu_correlation(c).sum())(jnp.array([-1.0, 1.0])), np.array([0, 0.5]), 1e-6)


KERNELS = {
    "relu_gp": relu_gp,
    "relu_ntk": relu_ntk,
    "relu_ntk with biases": partial(relu_ntk, varw=2.0, varb=0.5),
    "relu_gp of inputs with themselves": lambda x, y: relu_gp(x, x),
    "relu_ntk of inputs with themselves": lambda x, y: relu_ntk(x, x),
    "relu_covariance": lambda x, y: relu_covariance(x @ x.T),
    "step_covariance": lambda x, y: step_covariance(x @ x.T),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_at_the_edge(name):
    x, y = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    assert_degenerate(KERNELS[name], x, y)
    assert_matches_float64(KERNELS[name], x, y)
    if "covariance" not in name:
        assert_dtypes(KERNELS[name], x, y, dtypes=["uint8", "bfloat16"], tolerance=1e-4)


def test_kernels_of_nothing_and_of_an_input_with_itself():
    assert relu_gp(jnp.zeros((1, 2)), jnp.ones((1, 2))).tolist() == [[0.0]]
    x = jnp.array([[3.0, 4.0]])
    assert_close(jax.grad(lambda x: relu_ntk(x, x).sum())(x), 2 * x, 1e-6)  # relu_ntk(x, x) = |x|^2
    degenerate = jnp.array([[4.0, 0.0], [0.0, 0.0]])
    assert relu_covariance(degenerate).tolist() == [[2.0, 0.0], [0.0, 0.0]]
    assert step_covariance(degenerate).tolist() == [[0.5, 0.0], [0.0, 0.0]]


def test_training_errors(as_installed):
    normals, scale = standard_normals(jax.random.key(0), 2, 4, 1), scales(ABC.ntk(1), 4)
    X, y = jnp.ones((3, 2)), jnp.ones((3, 1))
    for call, message in (
        (lambda: train_abc(normals, scale, X, y[:, 0], 0.1, jnp.tanh), r"y has shape \(3,\); it needs \[steps, 1\]"),
        (lambda: train_abc(normals, scale, X, y, -0.1, jnp.tanh), "eta is -0.1"),
        (lambda: mlp(normals, scale.multipliers[:1], X, jnp.tanh), "2 weights need one each"),
        (lambda: standard_normals(jax.random.key(0), 2, 0, 1), "width is 0"),
        (lambda: train_abc(normals, scale, X, y, float("nan"), jnp.tanh), "eta is nan"),
        (lambda: padded_normals(np.random.default_rng(0), 2, 8, 1, 4), "size is 4; it must be at least 8"),
        (lambda: gaussian_particles(jax.random.key(0), 4, 0), "dim is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert train_abc(normals, scale, X.astype(int), y.astype(int), 0.1, jnp.tanh)[2].dtype == jnp.float32


def test_kernel_error(as_installed):
    with pytest.raises(ValueError, match="varw is -1"):
        relu_gp(jnp.ones((1, 2)), jnp.ones((1, 2)), varw=-1.0)
    with pytest.raises(ValueError, match="a covariance is square"):
        relu_covariance(jnp.ones((2, 1)))
    with pytest.raises(ValueError, match="x has 2 features and y 3"):
        relu_gp(jnp.ones((1, 2)), jnp.ones((1, 3)))


# --- Tensor programs ---


def test_program_is_exact_where_linear():
    with jax.enable_x64():
        program = TensorProgram(jax.random.key(0), 64)
        W, x, y = program.matrix(2.0), program.gaussian(), program.gaussian(3.0)
        Wx, Wy = program.matmul(W, x), program.matmul(W, y)
        assert_close(program.moment(Wx, Wx), 4.0, 1e-12)
        assert_close(program.moment(Wy, Wy), 36.0, 1e-12)
        both = program.matmul(W, program.combine([2.0, -1.0], [x, y]))  # no new Gaussian: in the span
        assert_close(both.samples, 2 * Wx.samples - Wy.samples, 1e-10)
        back = program.matmul(W, Wx, transpose=True)  # E[x . W^T W x] / n = sigma^2, |W^T W x|^2 / n = 2 sigma^4
        assert_close(program.moment(back, x), 4.0, 1e-12)
        assert_close(program.moment(back, back), 32.0, 1e-12)
        zero = program.matmul(W, program.constant(0.0))
        assert not zero.samples.any()


def test_program_against_a_large_matrix():
    n = 2000
    W, x = np.asarray(normal(0, n, n)) / n**0.5, np.asarray(normal(1, n))
    h = W @ x
    b = W.T @ np.tanh(h)
    finite = [np.mean(b * x), np.mean(np.tanh(b) ** 2), np.mean((W @ np.tanh(b)) * h)]
    program = TensorProgram(jax.random.key(0), 20_000)
    M, v = program.matrix(), program.gaussian()
    Mv = program.matmul(M, v)
    back = program.matmul(M, program.nonlin(jnp.tanh, Mv), transpose=True)
    squashed = program.nonlin(jnp.tanh, back)
    limit = [program.moment(back, v), program.moment(squashed, squashed), program.moment(program.matmul(M, squashed), Mv)]
    np.testing.assert_allclose(limit, finite, atol=0.05)


def test_program_errors():
    with pytest.raises(ValueError, match="num_samples is 1"):
        TensorProgram(jax.random.key(0), 1)
    program = TensorProgram(jax.random.key(0), 3)
    program.gaussian(), program.gaussian()
    with pytest.raises(ValueError, match="a program with 3 Gaussians needs at least 4"):
        program.gaussian()
    with pytest.raises(ValueError, match="sigma is 0"):
        program.matrix(0.0)
    with jax.debug_nans(False), pytest.raises(ValueError, match="a limit needs finite ones"):
        program.matmul(program.matrix(), program.constant(float("nan")))


def test_no_warning_for_stable_parametrisations():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ABCMLP(3, 4, 1, ABC.ntk(1), rngs=nnx.Rngs(0))
