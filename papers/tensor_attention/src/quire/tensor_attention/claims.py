"""What the paper states, measured: T1 to T7."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import (
    Measurement,
    above,
    all_of,
    at_least,
    at_most,
    beats,
    every_seed,
    log_log_slope,
    shared,
    slope_above,
    slope_below,
    slope_close_to,
)
from quire.common.claims.identity import identity
from quire.common.layers.polynomials import exp_polynomial, monomial_features
from quire.common.layers.tensor_attention import low_rank_tensor_attention, low_rank_weights, tensor_attention
from quire.common.random import generator
from quire.common.tensors.multilinear import khatri_rao
from quire.common.testing import max_relative_error
from quire.tensor_attention import figures, scaling
from quire.tensor_attention.approximation import Kind, compiled_low_rank, error_bound, max_score, truncation_errors
from quire.tensor_attention.config import Config
from quire.tensor_attention.enumeration import enumerate_gradients, enumerate_tensor_attention
from quire.tensor_attention.learning import learning_curves
from quire.tensor_attention.match3 import match3_labels, match3_unit
from quire.tensor_attention.paper import paper
from quire.tensor_attention.phase_transition import needed_degree, sign_problem, threshold

paper.benchmark = scaling.benchmark


# --- T1, T2: identities ------------------------------------------------------------------------------------------------------


KINDS: tuple[Kind, ...] = ("taylor", "chebyshev")


def _random_problem(key: jax.Array, lengths: tuple[int, ...], dim: int, channels: int, bound: float):
    """NumPy float32 queries, keys and values, uniform up to `bound`; `lengths` of the queries, then of each memory."""
    rng = generator(key)

    def draw(*shape):
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    q, *ks = (draw(n, dim) for n in lengths)
    return q, ks, [draw(n, channels) for n in lengths[1:]]


def _listed(lengths: tuple[tuple[int, ...], ...]) -> str:
    return ", ".join("×".join(map(str, one)) for one in lengths)


@jax.jit
def _values_and_gradients(q, ks, vs, grad_out):
    """Output and gradients, dense and streamed in tiles that do not divide the lengths."""
    results = []
    for block in (None, 4):
        out, pullback = jax.vjp(lambda q, ks, vs, block=block: tensor_attention(q, ks, vs, block=block), q, ks, vs)
        results.append((out, *pullback(grad_out)))
    return results


def _exact_error(problem, dtype) -> float:
    """Largest error of outputs and gradients against literal enumeration, relative to each array's largest entry."""
    q, ks, vs = problem
    grad_out = np.random.default_rng(1 + len(ks)).standard_normal((len(q), vs[0].shape[1])).astype(np.float32)
    expected = (enumerate_tensor_attention(q, ks, vs)[0], *enumerate_gradients(q, ks, vs, grad_out))
    arrays = jax.tree.map(lambda x: jnp.asarray(x, dtype), (*problem, grad_out))
    errors = [jax.tree.map(max_relative_error, form, expected) for form in _values_and_gradients(*arrays)]
    return float(np.max(jax.tree.leaves(errors)))


@paper.claim(
    "T1",
    says="D⁻¹ exp(Q(K₁ ⊘ K₂)ᵀ/d)(V₁ ⊘ V₂), dense and streamed, and its gradients are the sums over tuples that define them",
    source="Definition 1.1; higher orders",
    metric="largest error / largest entry, float64",
    holds=all_of(at_most(1e-10), at_most(2e-6, of="float32")),
    exact=True,
)
def exact(config: Config, key: jax.Array) -> Measurement:
    """Several orders and memories of unequal length, against enumeration in NumPy."""
    c = config.identity
    problems = [
        _random_problem(case_key, lengths, c.dim, c.channels, c.bound)
        for lengths, case_key in zip(c.lengths, jax.random.split(key, len(c.lengths)), strict=True)
    ]
    single = max(range(len(problems)), key=lambda i: len(set(c.lengths[i])))  # the most unequal lengths
    data = (
        f"entries uniform in ±{c.bound}, d = {c.dim}; tokens of queries and memories {_listed(c.lengths)}; "
        f"in float32 {_listed((c.lengths[single],))}"
    )

    def errors(dtype):
        return [_exact_error(problem, dtype) for problem in (problems if dtype == jnp.float64 else [problems[single]])]

    return identity(errors, data)


@paper.claim(
    "T2",
    says="The polynomial p in place of exp has rank r: A = U₁(U₂ ⊘ U₃)ᵀ, and (U₂ ⊘ U₃)ᵀ(V₁ ⊘ V₂) = (U₂ᵀV₁) ∘ (U₃ᵀV₂)",
    source="section on the polynomial method",
    metric="largest error / largest entry, float64",
    holds=at_most(1e-10),
    exact=True,
)
def low_rank_identity(config: Config, key: jax.Array) -> Measurement:
    """The identity, the factorisation and the whole operation, for Taylor and Chebyshev coefficients."""
    c = config.identity

    def errors(dtype):
        found = []
        for lengths, case_key in zip(c.lengths, jax.random.split(key, len(c.lengths)), strict=True):
            problem = _random_problem(case_key, lengths, c.dim, c.channels, c.bound)
            found += _low_rank_errors(*jax.tree.map(lambda x: x.astype(dtype), problem), c.degree)
        return found

    data = f"entries uniform in ±{c.bound}, d = {c.dim}, degree {c.degree}; tokens of queries and memories {_listed(c.lengths)}"
    return identity(errors, data, single=False)


def _low_rank_errors(q, ks, vs, degree: int) -> list[float]:
    """Errors of the identity, of the factorisation of `p` of every score, and of the output against enumeration with `p`."""
    scores = np.stack([q @ np.prod(keys, axis=0) for keys in itertools.product(*ks)], axis=1) / q.shape[1]
    radius = float(abs(scores).max())
    factored, outputs, summed, multiplied = _low_rank_forms(q, ks, vs, degree, radius)
    errors = [max_relative_error(multiplied, summed)]
    for kind in KINDS:
        p = np.polynomial.Polynomial(exp_polynomial(degree, radius, kind))
        errors.append(max_relative_error(factored[kind], p(scores)))
        errors.append(max_relative_error(outputs[kind], enumerate_tensor_attention(q, ks, vs, entry=p)[0]))
    return errors


@jax.jit(static_argnums=(3, 4))
def _low_rank_forms(q, ks, vs, degree, radius):
    """By kind `U1 (U2 (o) ...)^T` and the output; then both sides of `(U2 (o) ...)^T (V1 (o) ...) = (U2^T V1) * ...`."""
    us = [monomial_features(k, degree) for k in ks]
    pairs = khatri_rao(us)
    factored, outputs = {}, {}
    for kind in KINDS:
        weights = jnp.asarray(low_rank_weights(q.shape[1], exp_polynomial(degree, radius, kind), 1 / q.shape[1]))
        factored[kind] = (monomial_features(q, degree) * weights[None]) @ pairs.T
        outputs[kind] = low_rank_tensor_attention(q, ks, vs, degree=degree, radius=radius, kind=kind)
    return factored, outputs, pairs.T @ khatri_rao(vs), math.prod(u.T @ v for u, v in zip(us, vs, strict=True))


# --- T3: truncation error ----------------------------------------------------------------------------------------------------


@paper.claim(
    "T3",
    says="Once the degree exceeds the largest score, the error of the polynomial method falls faster than any geometric series",
    source="section on the polynomial method; Aggarwal and Alman 2022",
    metric="min over g of e(g)/e(g+2) · R²/((g+2)(g+3))",
    trivial="geometric decay at the first ratio",
    holds=all_of(
        every_seed(at_least(0.5)),
        every_seed(above(1.0, of="growth of e(g)/e(g+2)")),
        every_seed(at_most(1.0, of="error / guarantee")),
    ),
)
def truncation(config: Config, key: jax.Array) -> Measurement:
    """Ratios of errors against those of the leading Taylor remainder; beside them two decays whose ratio stays the same.

    A geometric series fitted to both ends passes the first criterion, hence the second: its ratio cannot grow.
    """
    c = config.truncation
    with jax.enable_x64():
        q, ks, vs = scaling.uniform_problem(key, c.tokens, c.dim, bound=c.bound)
        radius = max_score(q, ks, exact=True)
        errors = np.asarray(_truncation_errors(q, ks, vs, c.max_degree))
        bounds = np.array([error_bound(q, ks, vs, degree=g, radius=radius) for g in range(c.max_degree + 1)])
        same = max_relative_error(compiled_low_rank(q, ks, vs, degree=4), _polynomial_output(q, ks, vs, 4))
    g = np.arange(c.max_degree - 1)
    leading = (g + 2) * (g + 3) / radius**2
    ratios = errors[:-2] / errors[2:]
    hindsight = (errors[0] / errors[-1]) ** (2 / c.max_degree)  # the one ratio that reaches the last error
    guaranteed = np.isfinite(bounds)
    remainder = errors[0] * np.cumprod([1.0, *(radius / (np.arange(1, c.max_degree + 1) + 1))])
    return Measurement(
        float(np.min(ratios / leading)),
        f"n = {c.tokens}, d = {c.dim}, entries uniform in ±{c.bound}, float64",
        baselines={
            "geometric decay at the first ratio": float(np.min(ratios[0] / leading)),
            "geometric decay fitted in hindsight": float(np.min(hindsight / leading)),
        },
        extras={
            "R": radius,
            "growth of e(g)/e(g+2)": float(ratios[-1] / ratios[0]),
            "error / guarantee": float(np.max(errors[guaranteed] / bounds[guaranteed])),
            "low-rank form against dense polynomial, degree 4": same,
        },
        series={"output error": (np.arange(c.max_degree + 1).tolist(), errors.tolist())},
        figure=figures.truncation_figure(errors, bounds, remainder, radius),
    )


_truncation_errors = jax.jit(truncation_errors, static_argnums=3)


def _polynomial_output(q, ks, vs, degree):
    """Output with the Taylor polynomial of the dense scores in place of `exp`."""
    p = np.polynomial.Polynomial(exp_polynomial(degree))
    entries = p(np.asarray(q @ khatri_rao(ks).T) / q.shape[1])
    return entries @ np.asarray(khatri_rao(vs)) / entries.sum(1, keepdims=True)


# --- T4: near-linear against cubic -------------------------------------------------------------------------------------------

IGNORES_SCORES = "degree 0 (ignores the scores)"


@paper.claim(
    "T4",
    says="With bounded entries the output takes almost linear time, the exact computation cubic: operations counted",
    source="main theorem",
    metric="log-log slope of FLOPs against n",
    trivial=IGNORES_SCORES,
    holds=all_of(slope_close_to(1.0, atol=0.02, of="low rank FLOPs"), slope_close_to(3.0, atol=0.05, of="dense exact FLOPs")),
    seeds=1,
)
def flops(config: Config, key: jax.Array) -> Measurement:
    """Un-tiled forms, compiled and not run; the error of each beside it, since a form that ignores the scores is linear too."""
    c = config.scaling
    series = scaling.count_flops(scaling.flop_forms(c), c.dim)
    slopes = {name: log_log_slope(*curve) for name, curve in series.items()}
    q, ks, vs = scaling.uniform_problem(key, c.dense_tokens[0], c.dim)
    out = jax.jit(scaling.dense)(q, ks, vs)
    errors = {g: float(abs(compiled_low_rank(q, ks, vs, degree=g) - out).max()) for g in (0, c.degree)}
    return Measurement(
        slopes["low rank"],
        f"order 3, d = {c.dim}, degree {c.degree}, n = {_span(c.low_rank_tokens)} (exact {_span(c.dense_tokens)}), entries in ±1",
        baselines={IGNORES_SCORES: slopes["degree 0"], "dense exact": slopes["dense exact"]},
        extras={f"output error, degree {c.degree}": errors[c.degree], "output error, degree 0": errors[0]},
        series={f"{name} FLOPs": curve for name, curve in series.items()},
        figure=figures.scaling_figure(series, slopes, "floating-point operations"),
    )


@paper.claim(
    "T4b",
    says="With bounded entries the output takes almost linear time, the exact computation cubic: by the clock",
    source="main theorem",
    metric="log-log slope of time against n",
    trivial=IGNORES_SCORES,
    holds=all_of(slope_below(1.25, of="low rank time"), slope_above(2.5, of="dense exact time")),
    timed=True,
    seeds=1,
)
def times(config: Config, key: jax.Array) -> Measurement:
    """The fastest of several calls at each size, and where the fitted lines of low rank and dense exact meet."""
    c = config.scaling
    series = scaling.time_calls(key, scaling.timed_forms(c), c.dim, c.repeats)
    lines = {name: np.polyfit(np.log(n), np.log(t), 1) for name, (n, t) in series.items()}
    slopes = {name: float(line[0]) for name, line in lines.items()}
    crossing = scaling.crossover(tuple(lines["dense exact"]), tuple(lines["low rank"]))
    return Measurement(
        slopes["low rank"],
        f"order 3, d = {c.dim}, degree {c.degree}, n = {_span(c.low_rank_tokens)} (exact {_span(c.dense_tokens)}), float32",
        baselines={
            IGNORES_SCORES: slopes["degree 0"],
            "dense exact": slopes["dense exact"],
            "streamed exact": slopes["streamed exact"],
        },
        extras={"crossover n": crossing},
        series={f"{name} time": curve for name, curve in series.items()},
        figure=figures.scaling_figure(series, slopes, "seconds", crossing),
    )


def _span(sizes) -> str:
    return f"{min(sizes)}..{max(sizes)}"


# --- T5: phase transition ----------------------------------------------------------------------------------------------------


@paper.claim(
    "T5",
    says="Larger entries cost the polynomial method more, and the higher the order, the smaller the entries must be",
    source="abstract; hardness theorem and higher orders",
    metric="smallest drop of B* from one order to the next",
    trivial="same order, signs redrawn",
    holds=all_of(every_seed(above(0.0)), every_seed(at_most(0.0, of="decreases of g(B)"))),
)
def transition(config: Config, key: jax.Array) -> Measurement:
    """B*: the largest B whose even Taylor degree stays in the budget. Beside it, how far redrawing the signs alone moves B*.

    Says nothing of other algorithms, which the hardness theorem covers. A B* at the end of the grid makes its drop a lower bound.
    """
    c = config.transition
    bounds = np.arange(round((c.highest - c.lowest) / c.spacing) + 1) * c.spacing + c.lowest
    keys = jax.random.split(key, len(c.orders) + 1)
    orders = [*c.orders, c.orders[-2]]
    with jax.enable_x64():
        problems = [sign_problem(k, order, c.tokens, c.dim) for k, order in zip(keys, orders, strict=True)]
        *degrees, redrawn = (needed_degree(p, bounds, error=c.error, max_degree=c.max_degree) for p in problems)
    limits = [threshold(bounds, needed, c.budget) for needed in degrees]
    by_order = dict(zip(c.orders, degrees, strict=True))
    return Measurement(
        float(np.min(-np.diff(limits))),
        f"entries ±B, n = {c.tokens}, d = {c.dim}, B = {c.lowest:g}..{c.highest:g}, error < {c.error:g}, budget g ≤ {c.budget}",
        baselines={"same order, signs redrawn": abs(threshold(bounds, redrawn, c.budget) - limits[-2])},
        extras={
            **{f"B*, order {order}": limit for order, limit in zip(c.orders, limits, strict=True)},
            "decreases of g(B)": float(sum((np.diff(needed) < 0).sum() for needed in degrees)),
        },
        series={f"g(B), order {order}": (bounds.tolist(), needed.tolist()) for order, needed in by_order.items()},
        figure=figures.transition_figure(bounds, by_order, c.budget, c.max_degree, c.dim),
    )


# --- T6, T7: Match3 ----------------------------------------------------------------------------------------------------------


@paper.claim(
    "T6",
    says="One third-order attention unit decides, for every token, whether it sums to zero mod M with two others",
    source="Sanford, Hsu and Telgarsky 2023, which the paper cites",
    metric="accuracy at the worst size, float32 and float64",
    trivial="majority class",
    holds=at_least(1.0),
    exact=True,
)
def constructed_unit(config: Config, key: jax.Array) -> Measurement:
    """The constructive unit on uniform sequences whose labels are balanced by their length."""
    c = config.unit
    accuracies, shares = [], []
    for (modulus, n), size_key in zip(c.sizes, jax.random.split(key, len(c.sizes)), strict=True):
        x = generator(size_key).integers(0, modulus, (c.instances, n))
        labels = _labels(x, modulus)
        for double in (False, True):
            with jax.enable_x64(double), jax.default_matmul_precision("highest"):
                answers = _unit_outputs(x, modulus) > 0.5
            accuracies.append(float(np.mean(np.asarray(answers) == np.asarray(labels))))
        shares.append(float(np.mean(labels)))
    return Measurement(
        min(accuracies),
        f"{c.instances} uniform sequences for each (M, n) in {', '.join(map(str, c.sizes))}",
        baselines={"majority class": max(max(share, 1 - share) for share in shares)},
        extras={f"positive rate, M = {modulus}": share for (modulus, _), share in zip(c.sizes, shares, strict=True)},
    )


_labels = jax.jit(match3_labels, static_argnums=1)


@jax.jit(static_argnums=1)
def _unit_outputs(x, modulus):
    return jax.lax.map(lambda one: match3_unit(one, modulus), x)


@shared
def match3_training(config: Config, keys: jax.Array):
    """Curves of all models; for every seed also the best matrix model of any seed, and everything as lists for the figure."""
    curves = learning_curves(config.learning, keys)
    rival = max(float(curves.accuracy[name][:, -1].max()) for name in ("matrix", "wide matrix"))
    return curves, rival, jax.tree.map(lambda x: x.tolist() if isinstance(x, jax.Array) else x, curves)


@paper.claim(
    "T7",
    says="At equal steps third-order attention learns Match3 faster than matrix attention, even with more heads and parameters",
    source="motivation of higher-order attention",
    metric="test accuracy after training",
    trivial="majority class",
    holds=all_of(every_seed(at_least(0.95)), every_seed(beats("matrix models, best of all seeds", by=0.08))),
)
def learned(config: Config, key: jax.Array) -> Measurement:
    """Says only: faster. Given several times the steps, matrix attention comes close at this size."""
    c = config.learning
    curves, rival, every = match3_training(config, key)
    final = {name: float(accuracy[-1]) for name, accuracy in curves.accuracy.items()}
    return Measurement(
        final["tensor"],
        f"Match3, n = {c.tokens}, M = {c.modulus}; {c.steps} steps of {c.batch_size} fresh sequences, {c.test_sequences} to test",
        baselines={
            "matrix": final["matrix"],
            "wide matrix": final["wide matrix"],
            "matrix models, best of all seeds": rival,
            "majority class": float(curves.majority),
        },
        extras={f"parameters, {name}": count for name, count in curves.parameters.items()},
        series={name: (curves.steps, accuracy.tolist()) for name, accuracy in curves.accuracy.items()},
        figure=figures.learning_figure(every.steps, every.accuracy, float(np.mean(every.majority)), every.parameters),
    )
