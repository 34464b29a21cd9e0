"""OptEmbed: golden parity, masks, base models, supernet, evolution, compaction, baselines, training in small, presets, errors."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.data.click_logs import ClickLog, generated_clicks
from quire.common.layers.ctr import log_loss
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
)
from quire.optembed import (
    KINDS,
    PRESETS,
    CTRModel,
    DeepMlp,
    OptEmbedTable,
    Planted,
    Search,
    Training,
    build_supernet,
    candidates_within,
    compact,
    crossed,
    definition,
    evolve,
    fixed_plan,
    inner_products,
    kept_rows,
    load_supernet,
    merge_rare,
    most_frequent,
    mutated,
    open_log,
    pair_interactions,
    plan_loss,
    planted_clicks,
    prefix_mask,
    prefix_masks,
    random_candidates,
    random_search,
    roc_auc,
    row_mask,
    row_norms,
    settled_loss,
    sparsity,
    split_log,
    ste_step,
    step_slope,
    supernet_loss,
    supernet_plan,
    table_params,
    train,
    uniform_dim,
    value_counts,
    vector_cross,
)
from quire.optembed.config import Clicks, Identities
from quire.optembed.identities import compaction_errors, definition_errors, losses_and_slopes
from quire.optembed.study import click_runs, planted_runs, pruned_precision, smallest

KEY = jax.random.key(0)
SIZES = (4, 3, 5)
IDS = np.array([[0, 4, 7], [3, 6, 11], [0, 5, 9], [2, 4, 8]])


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# --- Golden vectors ---


def golden_net(g, kind):
    """The authors' parameters of one base model, and the batch."""
    state = {name.removeprefix("param/"): x for name, x in g.case(kind).items() if name.startswith("param/")}
    return load_supernet(state, kind, g["field_dim"].tolist(), dtype=np.float64)


def kinds_of(g):
    return [kind for kind in KINDS if f"{kind}/train_logit" in g]


def test_golden_step(golden):
    g = golden("optembed")
    with jax.enable_x64():
        z = jnp.asarray(g["ste/input"])
        np.testing.assert_array_equal(ste_step(z), g["ste/forward"])
        assert_close(jax.vmap(jax.grad(ste_step))(z), g["ste/backward"], 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_golden_training_step(golden, kind, monkeypatch):
    # the authors' step answers in float32 whatever it is asked, so that gradients through it are rounded on their way
    monkeypatch.setattr("quire.optembed.embedding_table.ste_step", lambda z: ste_step(z).astype(jnp.float32))
    g = golden("optembed")
    assert kinds_of(g)
    if f"{kind}/train_logit" not in g:
        pytest.skip(f"no vectors of {kind}")
    with jax.enable_x64():
        net, labels, alpha = golden_net(g, kind), jnp.asarray(g["y"]), float(g["alpha"])
        assert net.table.dim == int(g["latent_dim"])
        keep = np.asarray(net.table.row_mask())
        np.testing.assert_array_equal(keep, g[f"{kind}/feature_mask"])
        whole = np.full(len(net.table.field_dims), net.table.dim - 1)
        assert table_params(keep, whole, net.table.field_dims) == g[f"{kind}/params"]
        assert_close(sparsity(keep, whole, net.table.field_dims, net.table.dim), g[f"{kind}/sparsity"], 1e-12)
        graph, state = nnx.split(net)
        logits, bce, loss, by_row, by_threshold = losses_and_slopes(graph, state, g["x"], labels, g["dim_index"], alpha)
        assert_close(logits, g[f"{kind}/train_logit"], 1e-8)
        assert_close(bce, g[f"{kind}/bce"], 1e-8)
        assert_close(loss, g[f"{kind}/loss"], 1e-8)
        assert_close(by_row, g[f"{kind}/grad_embedding"], 1e-8)
        assert_close(by_threshold, g[f"{kind}/grad_threshold"].reshape(-1), 1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_golden_evaluation(golden, kind):
    g = golden("optembed")
    if f"{kind}/test_logit" not in g:
        pytest.skip(f"no vectors of {kind}")
    with jax.enable_x64():
        net = golden_net(g, kind)
        net(g["x"], g["dim_index"])  # one training step's statistics
        net.eval()
        assert_close(net(g["x"]), g[f"{kind}/test_logit"], 1e-8)


def test_golden_candidate(golden):
    g = golden("optembed")
    with jax.enable_x64():
        net = golden_net(g, "fm")
        net.eval()
        cand, sizes = g["evo/cand"], net.table.field_dims
        keep = np.asarray(net.table.row_mask())
        assert_close(net(g["x"], cand, keep=keep, learn=False), g["evo/logit"], 1e-8)
        assert_close(net.base(compact(net.table, dim_index=cand)(g["x"]), g["x"]), g["evo/logit"], 1e-8)
        params = table_params(keep, cand, sizes)
        assert params == g["evo/true_params"]
        slip = params - int(keep.sum())  # the released code counts one dimension too few for every row
        assert slip == g["evo/authors_params"]
        assert_close(1 - slip / (sum(sizes) * net.table.dim), g["evo/authors_sparsity"], 1e-12)


# --- Masks ---


def test_the_step_and_its_slope():
    z = np.float32([-2, -1, -0.7, -0.4, -0.1, 0, 0.1, 0.4, 0.7, 1, 2])
    assert ste_step(z).tolist() == [0] * 6 + [1] * 5
    np.testing.assert_allclose(step_slope(jnp.asarray(z)), [definition.step_slope(float(x)) for x in z], rtol=1e-5)
    with jax.debug_nans(False):
        assert np.isnan(ste_step(np.float32([np.nan]))).all()
    forward = jax.jvp(ste_step, (jnp.asarray(z),), (jnp.ones(len(z)),))[1]
    np.testing.assert_allclose(forward, step_slope(jnp.asarray(z)))
    assert_dtypes(ste_step, z)
    assert_degenerate(ste_step, z)
    assert_jit_consistent(ste_step, jnp.asarray(z))


def test_norms_and_row_masks():
    rows = numbers(6, 4)
    np.testing.assert_allclose(row_norms(rows), np.abs(rows).sum(1), rtol=1e-6)
    np.testing.assert_allclose(row_norms(rows, 2), np.linalg.norm(rows, axis=1), rtol=1e-6)
    threshold = np.float32([0, 1, 2, 3, 4, 100])
    np.testing.assert_array_equal(row_mask(rows, threshold), np.abs(rows).sum(1) > threshold)
    assert row_mask(np.zeros((1, 3), np.float32), np.zeros(1, np.float32)) == 0  # S(0) = 0
    assert row_mask(np.zeros((1, 3), np.float32), -np.ones(1, np.float32)) == 1  # nothing is below a negative threshold
    for norm in (1, 2):
        assert_degenerate(lambda x, t, n=norm: row_mask(x, t, n), rows, threshold)
        assert_dtypes(lambda x, n=norm: row_norms(x, n), rows, tolerance=1e-4)
        assert_gradients(lambda x, n=norm: row_norms(x, n), rows)
    assert_vmap_consistent(row_mask, numbers(2, 6, 4), numbers(2, 6))


def test_prefix_masks():
    np.testing.assert_array_equal(prefix_masks(5), np.tril(np.ones((5, 5))))
    np.testing.assert_array_equal(prefix_mask(np.array([[0, 2], [4, 1]]), 5).sum(-1), [[1, 3], [5, 2]])
    assert_jit_consistent(lambda c: prefix_mask(c, 4), jnp.array([0, 3]))


# --- The table ---


def of_table(table, ids, dim_index):
    """Example by example."""
    rows, t = np.asarray(table.rows.weights[...]), np.asarray(table.value_thresholds())
    out = np.zeros((*ids.shape, table.dim))
    for b, row in enumerate(ids):
        for i, v in enumerate(row):
            c = dim_index[b, i] if dim_index.ndim == 2 else dim_index[i]
            x = rows[v] * (np.arange(table.dim) <= c)
            norm = np.linalg.norm(x if table.rescale else rows[v], table.norm) * (table.dim / (c + 1) if table.rescale else 1)
            rest = 0 if table.oov is None else np.asarray(table.oov.weights[...])[i]
            out[b, i] = (rows[v] if norm > t[v] else rest) * (np.arange(table.dim) <= c)
    return out


@pytest.mark.parametrize(
    "options",
    [{}, {"threshold": "feature"}, {"norm": 2}, {"pruned": "oov"}, {"rescale": True}, {"pruned": "oov", "rescale": True}],
)
def test_tables_are_masked_as_said(options):
    table = OptEmbedTable(SIZES, 4, **options, rngs=nnx.Rngs(0))
    table.rows.weights[...] = jnp.asarray(numbers(12, 4))
    table.threshold[...] = jnp.asarray(2.5 + numbers(table.threshold.shape[0], seed=2)) / (2 if table.norm == 2 else 1)
    drawn = np.random.default_rng(1).integers(0, 4, IDS.shape)
    for dim_index in (drawn, drawn[0]):
        np.testing.assert_allclose(table(IDS, dim_index), of_table(table, IDS, dim_index), rtol=1e-5)
    np.testing.assert_allclose(table(IDS), of_table(table, IDS, np.full(3, 3)), rtol=1e-5)
    norms = np.linalg.norm(np.asarray(table.rows.weights[...]), table.norm, axis=1)
    mask = np.asarray(table.row_mask())
    np.testing.assert_array_equal(mask, norms > np.asarray(table.value_thresholds()))
    assert 0 < mask.sum() < 12
    # what is fixed beforehand takes the place of thresholds, or comes on top of them
    np.testing.assert_allclose(table(IDS, keep=mask, learn=False), table(IDS), rtol=1e-6)
    np.testing.assert_allclose(table(IDS, keep=mask), table(IDS), rtol=1e-6)
    everything = table(IDS, learn=False)
    np.testing.assert_allclose(everything, np.asarray(table.rows.weights[...])[IDS], rtol=1e-6)
    traced = jax.jit(lambda learn: table(IDS, learn=learn))
    np.testing.assert_allclose(traced(jnp.array(False)), everything)
    np.testing.assert_allclose(traced(jnp.array(True)), table(IDS), rtol=1e-6)


@pytest.mark.parametrize("pruned", ["zero", "oov"])
def test_thresholds_hear_what_a_decision_costs(pruned):
    table = OptEmbedTable((2,), 2, pruned=pruned, rngs=nnx.Rngs(0))
    table.rows.weights[...] = jnp.array([[0.5, 0.2], [0.1, -0.1]])
    table.threshold[...] = jnp.array([0.4])
    graph, state = nnx.split(table)
    up = np.float32([[[1.0, 2.0]], [[3.0, 4.0]]])

    def total(state):
        return jnp.sum(nnx.merge(graph, state)(np.array([[0], [1]])) * up)

    slopes = jax.grad(total)(state)
    other = 0 if pruned == "zero" else np.asarray(table.oov.weights[...])[0]
    slope = np.array([2 - 4 * 0.3, 2 - 4 * 0.2])  # margins of 0.3 and -0.2
    through = ((np.array([[0.5, 0.2], [0.1, -0.1]]) - other) * up[:, 0]).sum(1) * slope
    np.testing.assert_allclose(slopes["threshold"][...], [-through.sum()], rtol=1e-4)
    expected = np.array([[1.0, 2.0], [0.0, 0.0]]) + through[:, None] * np.array([[1, 1], [1, -1]])
    np.testing.assert_allclose(slopes["rows"]["weights"][...], expected, rtol=1e-4)


# --- Base models ---


def test_pieces_of_the_base_models():
    x = numbers(3, 4, 2)
    products = np.stack([(x[:, i] * x[:, j]).sum(1) for i in range(4) for j in range(i + 1, 4)], axis=1)
    np.testing.assert_allclose(inner_products(x), products, rtol=1e-5)
    np.testing.assert_allclose(pair_interactions(x), products.sum(1), rtol=1e-4)
    a, b, w, c = numbers(3, 5), numbers(3, 5, seed=1), numbers(5, seed=2), numbers(5, seed=3)
    np.testing.assert_allclose(vector_cross(a, b, w, c), a * (b @ w)[:, None] + c + b, rtol=1e-5)
    for function in (inner_products, pair_interactions):
        assert_degenerate(function, x, axes=(0, 1))
        assert_dtypes(function, x, tolerance=1e-4)
        assert_jit_consistent(function, jnp.asarray(x))
        assert_vmap_consistent(function, numbers(2, 3, 4, 2))
    assert_dtypes(vector_cross, a, b, w, c, tolerance=1e-4)
    assert_degenerate(lambda x, y: vector_cross(x, y, w, c), a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_models_are_their_definition(kind):
    config = Identities((3, 4), 3, 8, (4, 3), 2)
    with jax.enable_x64():
        errors = definition_errors(kind, config, np.random.default_rng(5), jnp.float64)
        assert max(errors.values()) < 1e-9, errors
        assert max(compaction_errors(kind, config, np.random.default_rng(5), jnp.float64).values()) < 1e-12


def test_complex_steps_are_derivatives():
    x = np.array([0.3, -1.2])
    found = definition.complex_step(lambda x: np.sum(x**3) + x[0] * x[1], x)
    np.testing.assert_allclose(found, 3 * x**2 + x[::-1], rtol=1e-12)


def test_checkpoints_with_statistics_and_shared_rows():
    rng = np.random.default_rng(0)
    state = definition.random_state("dcn", SIZES, 2, (4, 3), 2, rng)
    state |= {f"mlp.mlp.1.{name}": rng.uniform(1, 2, 4) for name in ("running_mean", "running_var")}
    state |= {"mlp.mlp.1.num_batches_tracked": np.array(3), "oov_embedding": rng.standard_normal((3, 2))}
    net = load_supernet(state, "dcn", SIZES)
    np.testing.assert_allclose(net.base.mlp.norms[0].mean[...], state["mlp.mlp.1.running_mean"], rtol=1e-6)
    np.testing.assert_allclose(net.table.oov.weights[...], state["oov_embedding"], rtol=1e-6)
    assert len(net.base.cross.weights) == 2 and net.table.per_field
    each = definition.random_state("fm", SIZES, 2, (), 0, rng) | {"threshold": rng.uniform(size=(12, 1))}
    assert not load_supernet(each, "fm", SIZES).table.per_field
    with pytest.raises(ValueError, match=r"missing: combine.bias"):
        load_supernet({name: x for name, x in state.items() if name != "combine.bias"}, "dcn", SIZES)


# --- The loss, plans ---


def test_plans_are_what_they_say():
    config = Training("fm", dim=4, hidden=(3,), epochs=1)
    log = ClickLog("x", ("a", "b", "c"), SIZES, np.zeros((1, 3), np.int32), np.zeros(1, np.float32))
    net = build_supernet(log, config, nnx.Rngs(0))
    net.table.rows.weights[...] = jnp.asarray(numbers(12, 4))
    net.table.threshold[...] = jnp.array([2.0, 3.0, 2.5])
    labels = np.float32([0, 1, 1, 0])
    drawn = jax.random.randint(KEY, IDS.shape, 0, 4)
    losses = {
        mode: float(plan_loss(net, (IDS, labels, supernet_plan(SIZES, 4, 0.1, mode)), KEY))
        for mode in ("all", "rows", "dims", "none")
    }
    assert_close(losses["all"], supernet_loss(net, IDS, labels, drawn, 0.1), 1e-6)
    assert_close(losses["rows"], supernet_loss(net, IDS, labels, None, 0.1), 1e-6)
    rows = jnp.asarray(net.table.rows.weights[...])[IDS]
    assert_close(losses["none"], log_loss(net.base(rows, IDS), labels), 1e-6)
    assert_close(losses["dims"], log_loss(net.base(rows * prefix_mask(drawn, 4), IDS), labels), 1e-6)
    keep, cand = np.arange(12) % 2, np.array([0, 3, 1])
    fixed = plan_loss(net, (IDS, labels, fixed_plan(keep, cand)), KEY)
    assert_close(settled_loss(net, (IDS, labels, fixed_plan(keep, cand)), KEY), fixed, 1e-6)
    assert_close(fixed, log_loss(net.base(rows * keep[IDS][..., None] * prefix_mask(cand, 4)[None], IDS), labels), 1e-6)


# --- Area under the curve ---


def test_auc_is_that_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    for scores in (rng.standard_normal(200), rng.integers(0, 4, 200).astype(float), np.zeros(200)):
        labels = rng.integers(0, 2, 200)
        np.testing.assert_allclose(roc_auc(labels, scores.astype(np.float32)), roc_auc_score(labels, scores), rtol=1e-5)
    labels, scores = rng.integers(0, 2, (3, 50)), rng.standard_normal((3, 50)).astype(np.float32)
    assert_vmap_consistent(roc_auc, labels, scores)
    assert_dtypes(lambda s: roc_auc(labels[0], s), scores[0])
    assert_degenerate(lambda s: roc_auc(labels[0], s), scores[0], axes=(), differentiable=False)
    with jax.debug_nans(False):
        assert np.isnan(roc_auc(np.array([0, 1, 1]), np.float32([0.1, np.nan, 0.3])))
        assert np.isnan(jax.jit(roc_auc)(jnp.ones(3), jnp.arange(3.0)))


# --- Evolution ---


def test_mutation_changes_a_tenth_and_leaves_the_parents_alone():
    parents, rng = np.zeros((500, 8), np.int32), np.random.default_rng(0)
    found = np.asarray(mutated(jnp.asarray(parents), rng.random((500, 8)), rng.random((500, 8)), 6, 0.1))
    assert 0.08 < (found != 0).mean() < 0.12
    assert set(found[found != 0].tolist()) == {1, 2, 3, 4, 5} and not parents.any()
    assert not np.asarray(mutated(jnp.zeros((3, 2), int), np.zeros((3, 2)), rng.random((3, 2)), 1, 1.0)).any()


def test_crossover_joins_two_parents_at_a_cut():
    rng = np.random.default_rng(0)
    parents = 10 * np.arange(4)[:, None] + np.arange(5)
    found = np.asarray(crossed(jnp.asarray(parents), rng.random((4, 4)), rng.random(12)))
    pairs = set()
    for child in found:
        source = child // 10
        change = np.flatnonzero(np.diff(source))
        assert len(change) <= 1 and (child % 10 == np.arange(5)).all()
        pairs.add((source[0], source[-1]))
    assert len(pairs) > 8


def test_evolution_finds_a_needle_and_keeps_the_best_ever():
    target = jnp.array([5, 0, 7, 2])

    def fitness(candidates):
        return -jnp.abs(candidates - target[None]).sum(1).astype(float)

    search = jax.jit(lambda key: evolve(fitness, 4, 8, key, generations=30))
    found = search(KEY)
    assert found.candidates.shape == (30, 20, 4) and found.history.shape == (30, 20)
    assert found.fitness == found.history.max() >= -2
    np.testing.assert_allclose(found.history, jax.vmap(fitness)(found.candidates))
    np.testing.assert_array_equal(search(KEY).best, found.best)  # one key, one search
    random = jax.jit(lambda key: random_search(fitness, 4, 8, key, generations=5, population=20))(KEY)
    assert random.candidates.shape == (5, 20, 4) and random.fitness == random.history.max()
    kept = jax.jit(lambda key: evolve(fitness, 4, 8, key, generations=6, keep=3, mutation=4, crossover=3))(KEY).history
    assert (np.diff(np.max(kept, axis=1)) >= 0).all()  # the best stay
    both = jax.jit(jax.vmap(search))(jax.random.split(KEY, 2))
    assert both.best.shape == (2, 4)


def test_what_is_not_a_number_is_never_best():
    with jax.debug_nans(False):
        found = evolve(lambda c: jnp.where(c[:, 0] > 2, jnp.nan, c[:, 1].astype(float)), 2, 6, KEY, generations=4)
        assert found.best[0] <= 2 and found.fitness == found.best[1]
        nothing = evolve(lambda c: jnp.full(len(c), jnp.nan), 2, 6, KEY, generations=2)
        assert np.isnan(nothing.fitness)


def test_random_candidates_are_uniform():
    found = np.asarray(random_candidates(KEY, 3000, 2, 5))
    assert np.abs(np.bincount(found.ravel(), minlength=5) / found.size - 0.2).max() < 0.03


# --- Compact tables ---


@pytest.mark.parametrize("pruned", ["zero", "oov"])
@pytest.mark.parametrize("keep", [[1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1], [0] * 12, [1] * 12], ids=["some", "none", "all"])
def test_compact_tables_answer_what_masked_ones_do(pruned, keep):
    table = OptEmbedTable(SIZES, 4, pruned=pruned, rngs=nnx.Rngs(0))
    keep, cand = np.array(keep), np.array([2, 0, 3])
    small = compact(table, keep, cand)
    np.testing.assert_array_equal(small(IDS), table(IDS, cand, keep=keep, learn=False))
    np.testing.assert_array_equal(jax.jit(lambda ids: small(ids))(jnp.asarray(IDS)), small(IDS))
    rows = kept_rows(keep, SIZES) + (pruned == "oov")
    assert [part.shape for part in small.tables] == [(n, c + 1) for n, c in zip(rows, cand, strict=True)]
    if pruned == "zero":
        assert small.nbytes["tables"] == 4 * table_params(keep, cand, SIZES)
    graph, state = nnx.split(small)
    slopes = jax.grad(lambda s: jnp.sum(nnx.merge(graph, s)(IDS) ** 2), allow_int=True)(state)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(nnx.filter_state(slopes, nnx.Param)))


def test_sizes_of_tables():
    keep, cand = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1]), np.array([2, 0, 3])
    assert kept_rows(keep, SIZES).tolist() == [3, 0, 4]
    assert table_params(keep, cand, SIZES) == 3 * 3 + 0 + 4 * 4
    assert sparsity(keep, cand, SIZES, 4) == 1 - 25 / 48
    assert sparsity(np.ones(12), np.full(3, 3), SIZES, 4) == 0


# --- Baselines, data ---


def test_other_tables_keep_to_their_budget():
    counts = np.array([5, 1, 9, 0, 3, 3, 2, 7, 1, 1, 4, 8])
    assert most_frequent(counts, 3).nonzero()[0].tolist() == [2, 7, 11]
    for budget in (12, 30, 47, 1000):
        index = uniform_dim(SIZES, 4, budget)
        assert table_params(np.ones(12), index, SIZES) <= budget
        assert index[0] == 3 or 12 * (index[0] + 2) > budget
    keep = counts > 1
    found = candidates_within(keep, SIZES, 4, 20, 50, np.random.default_rng(0))
    assert found.shape == (50, 3) and max(table_params(keep, cand, SIZES) for cand in found) <= 20
    ids = np.array([[0, 4], [0, 5]])
    assert value_counts(ids, 7).tolist() == [2, 0, 0, 0, 1, 1, 0]


def test_rare_values_become_one():
    log = generated_clicks((50, 3), 200, seed=3)
    merged = merge_rare(log, 3)
    for old, new, size in zip(log.tokens.T, merged.tokens.T, merged.sizes, strict=True):
        counts = np.bincount(old)
        often = counts[old] >= 3
        assert new.max() < size and len({*zip(old[often], new[often], strict=True)}) == len(set(new[often]))
        assert (new[~often] == 0).all() and (not (~often).any() or (new[often] > 0).all())
    assert merge_rare(log, 1).tokens.tolist() == [
        [np.unique(log.tokens[:, 0]).tolist().index(a) + (len(np.unique(log.tokens[:, 0])) < 50), b] for a, b in log.tokens
    ]


def test_planted_clicks_depend_on_half_of_the_values():
    log, signal = planted_clicks(np.random.default_rng(0), 4, 20, 60_000)
    assert signal.reshape(4, 20).sum(1).tolist() == [10] * 4 and log.sizes == (20,) * 4
    rates = np.bincount(log.values.ravel(), np.repeat(log.label, 4)) / np.bincount(log.values.ravel())
    centred = np.abs(rates - log.label.mean())
    assert centred[signal].min() > 1.5 * centred[~signal].mean()
    assert planted_clicks(np.random.default_rng(0), 2, 4, 10, useless=1.0).signal.sum() == 0


def test_shares_of_pruned_rows():
    signal = np.array([True, False, False, True])
    assert pruned_precision(np.array([False, True, False, True]), signal) == 0.5
    assert np.isnan(pruned_precision(np.zeros(4, bool), signal))
    assert smallest(np.array([3, 1, 2, 1]), 2).tolist() == [False, True, False, True]


# --- Training in small ---

CLICKS = generated_clicks((3,), 40)
TINY = Training("fnn", 4, (8,), epochs=2, batch_size=128, learning_rate=2e-2, decay=1e-3, threshold_rate=3e-2, alpha=1e-2)


def test_the_stages_run_and_learn():
    clicks = Clicks(TINY, search=Search(2, 0, 2, 2, examples=200, rivals=2))
    preset = replace(PRESETS["quick"], planted=Planted(TINY, 4, 10, 3000), clicks=clicks)
    found = planted_runs.__wrapped__(preset, jnp.stack([KEY]))
    assert found["auc"]["full"][0] > 0.6 and found["pruned"].shape == found["signal"].shape == (1, 40)


def test_a_search_on_a_log(monkeypatch):
    from quire.common.data.source import Source

    log = generated_clicks((40, 12, 3), 3000, seed=1)
    monkeypatch.setattr("quire.optembed.study.open_log", lambda name: Source(log))
    clicks = Clicks(TINY, search=Search(2, 0, 2, 2, examples=200, rivals=2))
    found = click_runs.__wrapped__(replace(PRESETS["quick"], clicks=clicks), jnp.stack([KEY]))
    assert found["auc"]["full table"][0] > 0.6
    assert found["rivals"].shape == (1, 2) and (found["rival_params"] <= found["params"]["OptEmbed"]).all()
    assert found["history"].shape == (1, 2, 4) and found["best"][0] == found["history"].max()
    assert max(found["params"][name][0] for name in ("one dimension for all", "frequent rows")) <= found["params"]["OptEmbed"][0]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_traced(name):
    for config, sizes in (
        (PRESETS[name].planted.training, (PRESETS[name].planted.values,) * PRESETS[name].planted.fields),
        (PRESETS[name].clicks.training, (1000, 20, 300)),
    ):
        names = tuple(f"field {i}" for i in range(len(sizes)))
        log = ClickLog("x", names, sizes, np.zeros((1, len(sizes)), np.int32), np.zeros(1, np.float32))
        net = nnx.eval_shape(lambda log=log, config=config: build_supernet(log, config, nnx.Rngs(0)))
        graph, state = nnx.split(net)
        batch = np.zeros((7, len(sizes)), np.int32), np.zeros(7, np.float32), supernet_plan(sizes, config.dim, config.alpha)
        loss = jax.eval_shape(lambda s, batch=batch, graph=graph: plan_loss(nnx.merge(graph, s), batch, KEY), state)
        assert loss.shape == ()


# --- Errors ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: row_norms(numbers(2, 3), 3), "norm is 3"),
        (lambda: row_mask(numbers(2, 3), numbers(3)), "threshold has shape"),
        (lambda: prefix_mask(np.array([4]), 4), "dim_index runs from 4"),
        (lambda: prefix_masks(0), "dim is 0"),
        (lambda: OptEmbedTable((), 2, rngs=nnx.Rngs(0)), "field_dims is"),
        (lambda: OptEmbedTable((2, 0), 2, rngs=nnx.Rngs(0)), "field_dims is"),
        (lambda: OptEmbedTable((2,), 0, rngs=nnx.Rngs(0)), "dim is 0"),
        (lambda: OptEmbedTable((2,), 2, threshold="row", rngs=nnx.Rngs(0)), "threshold is 'row'"),
        (lambda: OptEmbedTable((2,), 2, norm=0, rngs=nnx.Rngs(0)), "norm is 0"),
        (lambda: OptEmbedTable((2,), 2, pruned="drop", rngs=nnx.Rngs(0)), "pruned is 'drop'"),
        (lambda: OptEmbedTable(SIZES, 2, rngs=nnx.Rngs(0))(IDS[:, :2]), "ids has shape"),
        (lambda: OptEmbedTable(SIZES, 2, rngs=nnx.Rngs(0))(IDS + 1), "index runs from"),
        (lambda: OptEmbedTable(SIZES, 2, rngs=nnx.Rngs(0))(IDS, np.zeros(4, int)), "dim_index has shape"),
        (lambda: OptEmbedTable(SIZES, 2, rngs=nnx.Rngs(0))(IDS, keep=np.ones(3)), "keep has shape"),
        (lambda: CTRModel("wide", SIZES, 2, rngs=nnx.Rngs(0)), "kind is 'wide'"),
        (lambda: CTRModel("dcn", SIZES, 2, cross_layers=0, rngs=nnx.Rngs(0)), "cross_layers is 0"),
        (lambda: CTRModel("fm", SIZES, 2, rngs=nnx.Rngs(0))(numbers(4, 3, 3), IDS), "x has shape"),
        (lambda: DeepMlp(3, (), rngs=nnx.Rngs(0)), "hidden"),
        (lambda: vector_cross(numbers(2, 3), numbers(2, 3), numbers(2), numbers(3)), "weight"),
        (lambda: supernet_plan(SIZES, 2, 0.1, "both"), "mode is 'both'"),
        (lambda: roc_auc(np.zeros(3), np.zeros(2)), "labels has shape"),
        (lambda: roc_auc(np.ones(3), np.arange(3.0)), "both 0 and 1 must occur"),
        (lambda: roc_auc(np.array([0, 2]), np.arange(2.0)), "both 0 and 1 must occur"),
        (lambda: evolve(lambda c: c[:, 0], 0, 4, KEY), "fields is 0"),
        (lambda: evolve(lambda c: c[:, 0], 2, 4, KEY, mutation=0, crossover=0), "population is 0"),
        (lambda: evolve(lambda c: c[:, 0], 2, 4, KEY, probability=1.5), "probability is 1.5"),
        (lambda: evolve(lambda c: c[:, 0], 2, 4, KEY, keep=-1), "keep is -1"),
        (lambda: random_search(lambda c: c[:, 0], 2, 4, KEY, generations=0, population=3), "generations is 0"),
        (lambda: kept_rows(np.ones(3), SIZES), "keep has shape"),
        (lambda: kept_rows(np.full(12, 2), SIZES), "0 or 1"),
        (lambda: table_params(np.ones(12), np.array([0, 1]), SIZES), "dim_index is"),
        (lambda: sparsity(np.ones(12), np.array([0, 1, 4]), SIZES, 4), "dim_index runs from"),
        (lambda: compact(OptEmbedTable(SIZES, 2, rngs=nnx.Rngs(0)))(IDS[0]), "ids has shape"),
        (lambda: uniform_dim(SIZES, 4, 11), "budget is 11"),
        (lambda: most_frequent(np.arange(3), 4), "rows is 4"),
        (lambda: candidates_within(np.ones(12), SIZES, 4, 11, 1, np.random.default_rng(0), 100), "budget is 11"),
        (lambda: value_counts(np.array([[7]]), 7), "ids runs from 7"),
        (lambda: merge_rare(generated_clicks((3,), 4), 0), "least is 0"),
        (lambda: planted_clicks(np.random.default_rng(0), 0), "fields is 0"),
        (lambda: open_log("clicks"), "name is 'clicks'"),
        (lambda: Training("wide"), "kind is 'wide'"),
        (lambda: Training(alpha=-1.0), "alpha is -1.0"),
        (lambda: roc_auc(np.zeros(0), np.zeros(0)), "labels has shape"),
        (lambda: load_supernet({}, "fm", SIZES), "state has embedding"),
        (lambda: train(CLICKS, TINY, [], [split_log(CLICKS, KEY)], [KEY]), "0 plans"),
        (
            lambda: train(
                CLICKS, TINY, [supernet_plan((3,), 4, 0.1)] * 2, [split_log(CLICKS, KEY), split_log(CLICKS, KEY, 20)], [KEY] * 2
            ),
            "parts has sizes",
        ),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()
