"""Unified embedding: golden parity, multiplexing, allocations, index rules, gradients, the hash kernel, click models, presets."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.data import registry
from quire.common.data.click_logs import generated_clicks
from quire.common.errors import DatasetUnavailable
from quire.common.layers.ctr import CtrNet, FeatureTable, lookup
from quire.common.layers.hashing import expected_collisions, hash_bucket, splitmix64
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_jit_consistent,
    assert_vmap_consistent,
    cast,
)
from quire.unified_embedding import (
    ALLOCATIONS,
    PRESETS,
    RULES,
    Clicks,
    FeatureSpec,
    FlatTable,
    HashedEmbedding,
    Identities,
    LinearClicks,
    Orthogonality,
    Part,
    Region,
    Slots,
    UnifiedEmbedding,
    auc,
    benchmark,
    check_salts,
    collision_counts,
    collision_stats,
    compose,
    enumerated_moments,
    equal,
    feature_salts,
    gradient_components,
    kernel_moments,
    linear_logits,
    loss_sum,
    mean_abs_cosine,
    multiplexed,
    open_log,
    pair_cosines,
    paper,
    pareto_sweep,
    proportional,
    random_split,
    rate_logits,
    row_index,
    sampled_kernel,
    signed_hash,
    slots,
    split,
    split_kernel_moments,
    unified_index,
    value_components,
    value_rows,
    water_filled,
)
from quire.unified_embedding.click_models import batches, click_loss, columns_of
from quire.unified_embedding.index_rules import product_codes, robe
from quire.unified_embedding.orthogonality import component_norms, draw_world, linear_loss
from quire.unified_embedding.pareto import budget, growing_map, late_arrivals, late_auc, share_name, table_maps, table_runs

KEY = jax.random.key(0)
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float64, 1e-10), (jnp.float32, 1e-5)], ids=["float64", "float32"]
)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# --- Golden vectors ---


def tables_of(vectors, group="mux", suffix=""):
    return [vectors[f"{group}/h{t}{suffix}"] for t in range(len(vectors["vocab"]))]


def test_golden_hashes(golden):
    vectors = golden("unified_embedding")
    tokens, rows = vectors["hash/tokens"], int(vectors["M"])
    np.testing.assert_array_equal(splitmix64(tokens), vectors["hash/splitmix64_of_tokens"])
    found = [hash_bucket(tokens, salt, rows) for salt in vectors["hash/salts"]]
    np.testing.assert_array_equal(found, vectors["hash/bucket_M"])


@PRECISIONS
def test_golden_linear_model(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("unified_embedding")
        model, tables = cast(vectors.case("mux"), dtype), tables_of(vectors)
        x, y = vectors["x"], jnp.asarray(vectors["y"], dtype)
        table, theta, bias = model["E"], model["theta"], model["bias"]
        assert_close(linear_logits(table, theta, bias, tables, x), vectors["mux/logit"], tolerance)
        gradients = jax.value_and_grad(lambda e, t: loss_sum(e, t, bias, tables, x, y), (0, 1))
        total, (by_table, by_theta) = jax.jit(gradients)(table, theta)
        assert_close(total, vectors["mux/loss_sum"], tolerance)
        assert_close(by_table, vectors["mux/grad_E"], tolerance)
        assert_close(by_theta, vectors["mux/grad_theta"], tolerance)


@PRECISIONS
def test_golden_components(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("unified_embedding")
        model, tables, x, y = cast(vectors.case("mux"), dtype), tables_of(vectors), vectors["x"], vectors["y"]
        table, theta, bias = model["E"], model["theta"], model["bias"]
        feature, value = int(vectors["decomp/feature"]), int(vectors["decomp/value"])
        assert tables[feature][value] == vectors["decomp/row"]
        parts = gradient_components(table, theta, bias, tables, x, y, feature, value)
        size = np.abs(vectors["mux/grad_E"]).max()
        for part, name in zip(parts, ("true", "intra", "inter"), strict=True):
            np.testing.assert_allclose(part, vectors[f"decomp/{name}"], atol=tolerance * size)
        residual = jax.nn.sigmoid(linear_logits(table, theta, bias, tables, x)) - jnp.asarray(y, dtype)
        orthonormal = jnp.asarray(vectors["decomp/orthonormal_theta"], dtype)
        unseen = value_components(orthonormal, tables, x, residual)[feature].inter[value]
        found = orthonormal[feature] @ unseen
        np.testing.assert_allclose(found, vectors["decomp/inter_projection_orth"], atol=1e-12 if dtype == jnp.float64 else 1e-5)


@PRECISIONS
def test_golden_lookups(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("unified_embedding")
        columns = columns_of(vectors["multi/k"].tolist())
        index = np.stack([vectors[f"multi/h{t}_{c}"][vectors["x"][:, t]] for t, c in columns], axis=1)
        table = jnp.asarray(vectors["mux/E"], dtype)
        specs = [FeatureSpec(f"feature {t}", k) for t, k in enumerate(vectors["multi/k"].tolist())]
        embedding = UnifiedEmbedding(specs, *table.shape, rngs=nnx.Rngs(0))
        embedding.table.weights = nnx.Param(table)
        assert_close(embedding.lookup(index), vectors["multi/concat"], tolerance)


def test_golden_kernel_and_collisions(golden):
    vectors = golden("unified_embedding")
    x, y, m = vectors["kernel/x"], vectors["kernel/y"], int(vectors["kernel/m"])
    for found in (enumerated_moments(x, y, m), kernel_moments(x, y, m)):
        assert_close(found.mean, vectors["kernel/mean"], 1e-10)
        assert_close(found.variance, vectors["kernel/var"], 1e-10)
        assert_close(found.variance, vectors["kernel/var_formula"], 1e-10)
    sizes, rows = vectors["vocab"].tolist(), int(vectors["M"])
    assert_close(expected_collisions(sum(sizes), rows), vectors["coll/expected_pairs_shared"], 1e-10)
    assert_close(expected_collisions(sizes, rows / len(sizes)), vectors["coll/expected_pairs_split"], 1e-10)


# --- Multiplexing ---


def test_features_and_lookups_have_functions_of_their_own():
    tokens = np.arange(5000).repeat(3).reshape(-1, 3)
    index = unified_index(tokens, feature_salts([1, 2, 1], seed=5), 50)
    assert index.shape == (5000, 4)
    for i, j in product(range(4), repeat=2):
        if i < j:
            assert abs((index[:, i] == index[:, j]).mean() - 1 / 50) < 0.01
    again = unified_index(tokens, feature_salts([1, 2, 1], seed=5), 50)
    np.testing.assert_array_equal(index, again)
    assert (index != unified_index(tokens, feature_salts([1, 2, 1], seed=6), 50)).mean() > 0.9
    assert len({salt for of in feature_salts([4] * 30) for salt in of}) == 120


def test_an_embedding_is_what_its_rows_say():
    specs = [FeatureSpec("user"), FeatureSpec("item", 2)]
    embedding = UnifiedEmbedding(specs, 11, 3, seed=4, rngs=nnx.Rngs(0))
    tokens = np.array([[2**64 - 1, 0], [7, 7]], np.uint64)
    table, salts = np.asarray(embedding.table.weights[...]), feature_salts([1, 2], 4)
    for row, (user, item) in zip(embedding(tokens), tokens, strict=True):
        parts = [(user, salts[0][0]), (item, salts[1][0]), (item, salts[1][1])]
        np.testing.assert_array_equal(row, np.concatenate([table[hash_bucket(v, salt, 11)] for v, salt in parts]))
    assert embedding.width == 9
    assert embedding(np.zeros((0, 2), int)).shape == (0, 9)
    np.testing.assert_allclose(jax.jit(embedding.lookup)(embedding.index(tokens)), embedding(tokens))
    assert UnifiedEmbedding(specs, 11, 3, salts=[[1], [2, 3]], rngs=nnx.Rngs(0)).salts == ((1,), (2, 3))


# --- Allocation ---

SIZES = (100, 37, 5, 1, 260)


@pytest.mark.parametrize("rows", [5, 6, 40, 111, 403])
def test_allocations_spend_the_budget(rows):
    for allocate in ALLOCATIONS.values():
        found = allocate(SIZES, rows)
        assert sum(found) == rows
        assert min(found) >= 1
    assert max(equal(SIZES, rows)) - min(equal(SIZES, rows)) <= 1
    wide = proportional(SIZES, rows)
    ideal = 1 + (rows - 5) * np.array(SIZES) / sum(SIZES)
    assert np.abs(wide - ideal).max() < 1
    filled = water_filled(SIZES, rows)
    assert all(m <= size for m, size in zip(filled, SIZES, strict=True))


def test_water_fills_small_vocabularies_first():
    assert water_filled(SIZES, 60)[2:4] == [5, 1]
    assert water_filled(SIZES, sum(SIZES)) == list(SIZES)
    rest = water_filled(SIZES, 160)
    assert rest[1:4] == [37, 5, 1]  # shares of 32, 38.5, 58.5: 37 fits when the smaller ones have been served
    assert rest[0] == pytest.approx(117 * 100 / 360, abs=1)


def test_rows_lie_in_their_region():
    parts = split([10, 37, 5, 1, 50])
    index = row_index(SIZES, parts, 2, seed=1)
    start = 0
    for size, region in zip(SIZES, parts, strict=True):
        own = index[start : start + size]
        assert own.min() >= region.offset
        assert own.max() < region.offset + region.rows
        if region.rows >= size:
            assert sorted(own[:, 0]) == list(range(region.offset, region.offset + size))
        start += size
    shared = row_index(SIZES, multiplexed(SIZES, 64), seed=1)[:, 0]
    assert len(np.unique(shared[:100])) > 40
    np.testing.assert_array_equal(shared[:100], hash_bucket(np.arange(100), feature_salts([1] * 5, 1)[0][0], 64))
    # a shared table hashes even what would fit, since the rows belong to others too
    assert sorted(value_rows(5, Region(0, 64, True), [3])[:, 0]) != list(range(5))


# --- Index rules ---


def flat_of(rows, dim):
    return jnp.asarray(numbers(rows * dim, seed=9))


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("together", [True, False])
def test_rules_stay_in_their_regions(name, together):
    sizes, rows, dim = (50, 300, 3), 40, 4
    regions = multiplexed(sizes, rows) if together else split(water_filled(sizes, rows))
    found = slots(RULES[name], sizes, regions, dim, seed=2)
    assert all(len(part) == sum(sizes) for part in found)
    for region, part in zip(regions, np.split(found.elements, np.cumsum(sizes)[:-1]), strict=True):
        assert part.min() >= region.offset * dim
        assert part.max() < (region.offset + region.rows) * dim
    assert found.learned.max() < rows * dim
    distinct = np.unique(np.asarray(compose(flat_of(rows, dim), found))[50:350].round(6), axis=0)
    region_rows = regions[1].rows
    assert len(distinct) <= region_rows if name == "hashing" else len(distinct) > region_rows


def test_rules_are_their_formulas():
    size, region, dim, salts = 30, Region(2, 12, True), 4, list(range(8))
    flat = flat_of(16, dim)
    table, values = np.asarray(flat).reshape(16, dim), np.arange(size)

    def found(name):
        return np.asarray(compose(flat, RULES[name](size, region, dim, salts)))

    first, second = (2 + hash_bucket(values, salt, 12) for salt in (0, 1))
    np.testing.assert_allclose(found("hashing"), table[first], rtol=1e-6)
    np.testing.assert_allclose(found("multi-hash"), table[first] + table[second], rtol=1e-5)
    pair = hash_bucket(values, 0, 36)
    np.testing.assert_allclose(found("quotient-remainder"), 2 * table[2 + pair % 6] * table[8 + pair // 6], rtol=1e-5)
    ends = [(hash_bucket(values, salt, 48)[:, None] + np.arange(2)) % 48 for salt in (0, 1)]
    np.testing.assert_allclose(found("ROBE-Z"), np.asarray(flat)[8 + np.concatenate(ends, axis=1)], rtol=1e-6)
    a, b = (2 + hash_bucket(values, salt, 11) for salt in (0, 1))  # a row of twelve holds weights
    weights = 1 + table[13].reshape(2, 2)[hash_bucket(values, 2, 2)]
    np.testing.assert_allclose(found("hash embedding"), weights[:, :1] * table[a] + weights[:, 1:] * table[b], rtol=1e-5)
    codes = np.stack([hash_bucket(values, salt, 12) for salt in range(4)], axis=1)
    np.testing.assert_allclose(found("product codes"), table[2 + codes, np.arange(4)], rtol=1e-6)


def test_codes_may_be_given_and_blocks_sized():
    codes = np.array([[0, 2], [1, 1]])
    found = product_codes(2, Region(0, 3), 4, [0], codes)
    assert found.elements[:, 0].tolist() == [[0, 1, 10, 11], [4, 5, 6, 7]]
    blocks = robe(40, Region(0, 3), 4, list(range(4)), block=1)
    assert len(np.unique(blocks.elements[:, 0] % 4, axis=0)) > 20
    whole = robe(40, Region(0, 3), 4, list(range(4)), block=4)
    np.testing.assert_array_equal(np.diff(whole.elements[:, 0], axis=1) % 12, 1)
    one = RULES["quotient-remainder"](3, Region(4, 1), 2, [0])
    assert one.product.tolist() == [0, 0, 0]


def test_all_values_first_or_those_of_a_batch():
    found = slots(RULES["quotient-remainder"], (9, 4), multiplexed((9, 4), 6), 4)
    table = FlatTable(6, 4, rngs=nnx.Rngs(0))
    found = Slots(*map(jnp.asarray, found))
    few, many = jnp.array([[12, 0]]), jnp.array([[12, 0]] * 9)
    np.testing.assert_allclose(table(found, many)[3], table(found, few)[0], rtol=1e-6)


def test_a_scheme_holds_its_parameters():
    embedding = HashedEmbedding("hash embedding", (60, 3), 16, 4, rngs=nnx.Rngs(0))
    tokens = np.array([[59, 0], [0, 2], [0, 2]])
    found = embedding(tokens)
    np.testing.assert_array_equal(found[1], found[2])
    expected = compose(embedding.table.weights[...], Slots(*(part[[59, 60]] for part in embedding.slots)))
    np.testing.assert_allclose(found[0], np.asarray(expected).ravel(), rtol=1e-6)
    assert embedding(np.zeros((0, 2), int)).shape == (0, 8)
    trained = nnx.state(embedding, nnx.Param)
    assert sum(x.size for x in jax.tree.leaves(trained)) == 64


# --- Gradients ---


@pytest.fixture(scope="module")
def model():
    draw = np.random.default_rng(3)
    sizes, rows, dim = (4, 6, 3), 5, 4
    tables = [draw.integers(0, rows, size) for size in sizes]
    tables[0][:2] = 2  # a collision within the feature
    tables[1][0] = 2  # and one with another
    x = np.stack([draw.integers(0, size, 30) for size in sizes], axis=1)
    return numbers(rows, dim), numbers(3, dim, seed=1), tables, x, draw.integers(0, 2, 30)


def test_parts_of_a_gradient(model):
    table, theta, tables, x, y = model
    gradient = jax.grad(lambda e: loss_sum(e, theta, 0.3, tables, x, y))(jnp.asarray(table))
    logits = 0.3 + sum(table[h[x[:, t]]] @ theta[t] for t, h in enumerate(tables))
    np.testing.assert_allclose(linear_logits(table, theta, 0.3, tables, x), logits, rtol=1e-5)
    residual = 1 / (1 + np.exp(-logits)) - y
    for feature, value in ((0, 0), (0, 3), (1, 0), (2, 2)):
        parts = gradient_components(table, theta, 0.3, tables, x, y, feature, value)
        row = tables[feature][value]
        expected = np.zeros((3, theta.shape[1]))
        inside = [(t, v) for t in range(3) for v in range(len(tables[t])) if tables[t][v] == row]
        for t, v in inside:
            kind = 0 if (t, v) == (feature, value) else 1 if t == feature else 2
            expected[kind] += residual[x[:, t] == v].sum() * theta[t]
        np.testing.assert_allclose(np.stack(parts), expected, atol=1e-5)
        np.testing.assert_allclose(sum(parts), gradient[row], atol=1e-5)
    assert np.abs(gradient_components(table, theta, 0.3, tables, x, y, 0, 0).intra).max() > 1e-3
    everything = value_components(theta, tables, x, residual)
    np.testing.assert_allclose(everything[2].true[1], residual[x[:, 2] == 1].sum() * theta[2], atol=1e-5)


def test_gradient_parts_at_the_edges(model):
    table, theta, tables, x, y = model
    assert_dtypes(lambda e, t: linear_logits(e, t, 0.0, tables, x), table, theta, tolerance=1e-4)
    assert_degenerate(lambda e, t: loss_sum(e, t, 0.0, tables, x, y), table, theta, axes=())
    assert_degenerate(lambda t, r: value_components(t, tables, x, r), theta, numbers(30), axes=())
    assert_jit_consistent(lambda e, t: linear_logits(e, t, 0.0, tables, x), jnp.asarray(table), jnp.asarray(theta))


# --- The hash kernel ---


def test_kernel_moments_are_those_of_all_hashes():
    x, y = numbers(2, 3).astype(float)
    for m in (1, 2, 3):
        np.testing.assert_allclose(kernel_moments(x, y, m), enumerated_moments(x, y, m), rtol=1e-10)
    np.testing.assert_allclose(signed_hash(x, np.array([1, 1, 0]), np.array([1, -1, 1]), 2), [x[2], x[0] - x[1]])
    parts = split_kernel_moments([x, y], [y, y], [2, 4])
    np.testing.assert_allclose(parts.mean, x @ y + y @ y)
    np.testing.assert_allclose(parts.variance, kernel_moments(x, y, 2).variance + kernel_moments(y, y, 4).variance)
    assert kernel_moments(np.zeros(0), np.zeros(0), 2) == (0, 0)


def test_one_table_scatters_less_than_parts_of_it():
    """Theory B: the mass of T features is spread over M rows, or each over M / T: the variance of the parts is larger."""
    draw = np.random.default_rng(0)
    xs, ys = draw.standard_normal((2, 4, 200))
    together = kernel_moments(xs.ravel(), ys.ravel(), 400)
    apart = split_kernel_moments(xs, ys, [100] * 4)
    np.testing.assert_allclose(together.mean, apart.mean)
    assert 0.7 < apart.variance / together.variance < 1.4  # random vectors: cross-feature terms make up for it
    same = split_kernel_moments(xs[:1], ys[:1], [100]).variance / kernel_moments(xs[0], ys[0], 400).variance
    np.testing.assert_allclose(same, 4)  # what lies in one feature alone


def test_drawn_hashes_follow_the_moments():
    x, y = numbers(2, 20, seed=4).astype(float)
    found, right = sampled_kernel(x, y, 16, 3000, np.random.default_rng(1)), kernel_moments(x, y, 16)
    assert abs(found.mean() - right.mean) < 4 * (right.variance / 3000) ** 0.5
    assert 0.85 < found.var() / right.variance < 1.15


# --- Collisions ---


def test_collisions_are_counted_as_expected():
    sizes = (30, 20, 4)
    expected = collision_stats(sizes, 12)
    counts = collision_counts(sizes, 12, 300, np.random.default_rng(0))
    for name, x in counts.items():
        assert abs(x.mean() - expected[name]) < 4 * x.std() / 300**0.5
    assert expected["within features, separate"] == (30 * 29 + 20 * 19) / 2 / 4  # four rows for four values: none of them
    assert expected["all pairs, shared"] == 54 * 53 / 2 / 12


# --- Angles ---


def test_cosines():
    theta = numbers(4, 5)
    unit = theta / np.linalg.norm(theta, axis=1, keepdims=True)
    expected = [unit[i] @ unit[j] for i in range(4) for j in range(i + 1, 4)]
    np.testing.assert_allclose(pair_cosines(theta), expected, rtol=1e-5)
    np.testing.assert_allclose(mean_abs_cosine(theta * numbers(4, 1, seed=3)), np.abs(expected).mean(), rtol=1e-5)
    layer = numbers(3, 5, 2)
    np.testing.assert_allclose(pair_cosines(layer)[:, 1], pair_cosines(layer[..., 1]), rtol=1e-5)
    assert_degenerate(mean_abs_cosine, theta, axes=(1,), scales=(1e-30, 1e30))
    assert_dtypes(mean_abs_cosine, theta, tolerance=1e-4)
    assert_vmap_consistent(mean_abs_cosine, jnp.asarray(numbers(2, 4, 5)))
    assert float(mean_abs_cosine(np.eye(3))) == 0  # NumPy's float64, without a warning


def test_worlds_and_components():
    config = Orthogonality(features=3, values=6, dim=4, rows=9, examples=50)
    world = draw_world(config, KEY)
    together, apart, whole = world.rows
    assert together.max() < 9
    assert (apart // 3 == np.arange(3)[:, None]).all()
    assert sorted(whole.ravel()) == list(range(18))
    table, theta = numbers(18, 4), numbers(3, 4, seed=1)
    norms, felt = component_norms(world, apart, table, theta, 0.0)
    assert norms[2] == felt[2] == 0  # no other feature in the rows
    np.testing.assert_allclose(norms[:2], felt[:2], rtol=1e-5)  # true and intra lie along theta
    norms, felt = component_norms(world, together, table, theta, 0.0)
    assert 0 < felt[2] < norms[2]
    norms, felt = component_norms(world, together, table, np.eye(4)[:3], 0.0)
    assert felt[2] < 1e-12 < norms[2]
    model = LinearClicks(18, 4, 3, rngs=nnx.Rngs(0))
    rows = together[np.arange(3), world.tokens]
    expected = np.einsum("ntd,td->n", np.asarray(model.table.weights[...])[rows], np.asarray(model.theta[...]) + 0.5)
    np.testing.assert_allclose(model(rows, np.full((3, 4), 0.5, np.float32)), expected, rtol=1e-4, atol=1e-5)


# --- Click models ---

LOG = generated_clicks((40, 60, 3), 600, seed=2)
SMALL = Clicks("generated", (1 / 4,), dim=4, hidden=(4,), epochs=1, batch_size=64)


def test_rates_are_smoothed():
    part = Part(np.arange(400), np.arange(400, 600))
    found = rate_logits(LOG, part, 0, strength=5.0)
    token, overall = LOG.tokens[400, 0], (LOG.label[:400].sum() + 0.5) / 401
    seen = LOG.label[:400][LOG.tokens[:400, 0] == token]
    rate = (seen.sum() + 5 * overall) / (len(seen) + 5)
    np.testing.assert_allclose(found[0], np.log(rate / (1 - rate)))
    assert np.isfinite(rate_logits(LOG, Part(np.arange(1), np.arange(5)), 0)).all()


def test_auc_of_what_cannot_be_ranked():
    assert auc(np.array([0, 1, 1]), np.array([0.1, 0.3, 0.2])) == 1
    assert np.isnan(auc(np.array([0, 1]), np.array([np.nan, 1.0])))
    assert np.isnan(auc(np.array([1, 1]), np.array([0.0, 1.0])))


def test_parts_and_batches():
    part = random_split(LOG, 0.25, KEY)
    assert (len(part.train), len(part.test)) == (450, 150)
    assert sorted([*part.train, *part.test]) == list(range(600))
    order = batches(part, SMALL, KEY)
    assert order.shape == (7, 64)
    assert np.isin(order, part.train).all()


def test_tables_of_all_kinds():
    maps = table_maps(LOG, (1 / 4,), 0)
    assert {name for name, _ in maps} == {"unified", "proportional", "equal", "water-filled", "a row for each value"}
    assert all(m.max() < budget(LOG, share) for (_, share), m in maps.items())
    assert (budget(LOG, 1 / 4), budget(LOG, 1e-9), share_name(1 / 20)) == (26, 3, "1/20")


def test_values_that_come_late():
    part = random_split(LOG, 0.2, KEY)
    order, seen = late_arrivals(LOG, part, SMALL, KEY)
    early = LOG.values[order[: len(order) // 2]]
    assert seen[early].all()
    assert 0.05 < (~seen[:100]).mean() < 0.6
    assert (~seen[LOG.values[order[len(order) // 2 :]]]).any()
    maps = table_maps(LOG, (1 / 4,), 0)
    fixed = growing_map("fixed vocabulary", LOG, maps, SMALL, seen)[:, 0]
    np.testing.assert_array_equal(fixed[seen], np.flatnonzero(seen))
    for first, size in ((0, 40), (40, 60)):
        late = first + np.flatnonzero(~seen[first : first + size])
        assert set(fixed[late]) == {late[0]}  # one row for all strangers of a feature
    np.testing.assert_array_equal(growing_map("unified", LOG, maps, SMALL, seen), maps["unified", 1 / 4])
    logits = LOG.label[part.test] + 0.0
    assert late_auc(LOG, part, seen, logits) == 1


def test_runs_learn(monkeypatch):
    """A small log whose effects are strong: every table ranks better than chance, the whole one best of all."""
    from quire.common.data.source import Source
    from quire.unified_embedding import pareto

    log = generated_clicks((30, 40, 3), 4000, scatter=2.0, seed=2)
    monkeypatch.setattr(pareto, "open_log", lambda name: Source(log, "nothing"))
    config = Clicks("generated", (1 / 2,), dim=4, hidden=(4,), epochs=10, batch_size=128, learning_rate=2e-2)
    keys = jnp.stack([KEY])
    found = table_runs(config, keys)
    auc_of = {name: float(x[0]) for (name, _), x in found["auc"].items()}
    assert min(auc_of.values()) > 0.6
    assert max(auc_of.values()) == auc_of["a row for each value"] > 0.8
    assert set(found["growing"]) == set(pareto.GROWING)
    assert all(0 < x[0] < 0.7 for x in found["log_loss"].values())
    schemes = pareto_sweep(["multi-hash", "quotient-remainder"], (1 / 2,), config, keys)
    assert len(schemes["auc"]) == 4
    assert min(x[0] for x in schemes["auc"].values()) > 0.6


# --- Errors, presets, benchmark ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FeatureSpec("user", 0), "lookups is 0"),
        (lambda: feature_salts([]), "lookups is"),
        (lambda: feature_salts([1, 0]), "lookups is"),
        (lambda: check_salts(((5,), (5,))), "salt 5 serves feature 0, lookup 0 and feature 1, lookup 0"),
        (lambda: UnifiedEmbedding([FeatureSpec("a", 2)], 4, 2, salts=[[3, 3]], rngs=nnx.Rngs(0)), "salt 3 serves"),
        (lambda: UnifiedEmbedding([FeatureSpec("a", 2)], 4, 2, salts=[[3]], rngs=nnx.Rngs(0)), "salts has"),
        (lambda: UnifiedEmbedding([FeatureSpec("a")], 0, 2, rngs=nnx.Rngs(0)), "rows is 0"),
        (lambda: UnifiedEmbedding([], 4, 2, rngs=nnx.Rngs(0)), "lookups is"),
        (lambda: UnifiedEmbedding([FeatureSpec("a")], 4, 2, rngs=nnx.Rngs(0))(np.zeros((1, 2), int)), "tokens has shape"),
        (lambda: UnifiedEmbedding([FeatureSpec("a")], 4, 2, rngs=nnx.Rngs(0))(np.array([[-1]])), "tokens has a minimum of -1"),
        (lambda: UnifiedEmbedding([FeatureSpec("a")], 4, 2, rngs=nnx.Rngs(0))(np.array([[0.5]])), "tokens has dtype float64"),
        (lambda: jax.jit(UnifiedEmbedding([FeatureSpec("a")], 4, 2, rngs=nnx.Rngs(0)))(np.zeros((1, 1), int)), "is traced"),
        (lambda: equal([], 4), "sizes is"),
        (lambda: proportional([3, 2], 1), "rows is 1"),
        (lambda: water_filled([3, 0], 4), "sizes is"),
        (lambda: multiplexed([3], 0), "rows is 0"),
        (lambda: split([3, 0]), "sizes is"),
        (lambda: row_index([3, 2], split([2])), "1 regions"),
        (lambda: row_index([3], split([2]), 0), "lookups is"),
        (lambda: slots(RULES["hashing"], [3, 2], split([2]), 4), "1 regions"),
        (lambda: slots(RULES["hashing"], [3], split([2]), 0), "dim is 0"),
        (lambda: robe(3, Region(0, 2), 4, [0, 1], block=3), "block is 3"),
        (lambda: robe(3, Region(0, 2), 4, [0, 1], block=1), "block is 1"),
        (lambda: product_codes(2, Region(0, 2), 4, [], np.array([[2], [0]])), "codes runs from 0 to 2"),
        (lambda: product_codes(3, Region(0, 2), 4, [], np.array([[1], [0]])), "codes has shape"),
        (lambda: product_codes(2, Region(0, 2), 4, [], np.zeros((2, 3), int)), "codes has shape"),
        (lambda: FlatTable(0, 2, rngs=nnx.Rngs(0)), "rows is 0"),
        (lambda: HashedEmbedding("sha", (3,), 2, 2, rngs=nnx.Rngs(0)), "rule is 'sha'"),
        (lambda: HashedEmbedding("hashing", (3,), 2, 2, rngs=nnx.Rngs(0))(np.array([[3]])), "runs from 3"),
        (lambda: HashedEmbedding("hashing", (3,), 2, 2, rngs=nnx.Rngs(0))(np.array([3])), "tokens has shape"),
        (lambda: linear_logits(np.ones((3, 2)), np.ones((1, 3)), 0, [np.zeros(2, int)], np.zeros((4, 1), int)), "table has"),
        (lambda: linear_logits(np.ones((3, 2)), np.ones((1, 2)), 0, [np.array([3])], np.zeros((4, 1), int)), r"tables\[0\]"),
        (lambda: linear_logits(np.ones((3, 2)), np.ones((1, 2)), 0, [np.array([0])], np.ones((4, 1), int)), r"x\[:, 0\]"),
        (lambda: linear_logits(np.ones((3, 2)), np.ones((2, 2)), 0, [np.array([0])], np.ones((4, 1), int)), "1 tables"),
        (lambda: kernel_moments(np.ones(3), np.ones(2), 4), "x has shape"),
        (lambda: kernel_moments(np.ones(3), np.ones(3), 0), "m is 0"),
        (lambda: enumerated_moments(np.ones(30), np.ones(30), 3), "a million"),
        (lambda: pair_cosines(np.ones((1, 3))), "theta has shape"),
        (lambda: rate_logits(LOG, Part(np.arange(3), np.arange(3)), 3), "feature runs from 3"),
        (lambda: rate_logits(LOG, Part(np.arange(3), np.arange(3)), 0, 0.0), "strength is 0.0"),
        (lambda: random_split(LOG, 1e-9, KEY), "test is"),
        (lambda: open_log("netflix"), "name is 'netflix'"),
        (lambda: pareto_sweep(["sha"], (0.5,), SMALL, jnp.stack([KEY])), "methods has"),
        (lambda: Identities(dim=3), "dim is 3"),
        (lambda: Orthogonality(rows=63), "rows is 63"),
        (lambda: Clicks(shares=(1.5,)), "shares is"),
        (lambda: Clicks(test=0.0), "test 0.0"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


def test_missing_logs(tmp_path, monkeypatch):
    monkeypatch.delenv("QUIRE_DATA", raising=False)
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    monkeypatch.setattr(registry, "cache_dir", lambda: tmp_path)
    source = open_log("movielens-100k")
    assert source.stand_in_for.startswith("MovieLens 100K and Criteo")
    assert "generated" in source.name
    for name in ("movielens-1m", "criteo", "avazu"):
        with pytest.raises(DatasetUnavailable):
            open_log(name)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_programs_of_every_preset_fit_together(preset):
    """Losses are traced, not run; the number of values does not matter for it."""
    for config in (preset.clicks, preset.census):
        index = jnp.zeros((config.batch_size, 39), int)
        for cross_layers in (0, config.cross_layers):
            table = FeatureTable(50, config.dim, rngs=nnx.Rngs(0))
            net = CtrNet(table, 39 * config.dim, config.hidden, cross_layers=cross_layers, rngs=nnx.Rngs(0))
            labels = jnp.zeros(config.batch_size)
            assert jax.eval_shape(lambda i, y, net=net: click_loss(net, ((i,), y), KEY), index, labels).shape == ()
        for rule in RULES.values():
            found = slots(rule, (40, 9), multiplexed((40, 9), 12), config.dim)
            assert jax.eval_shape(compose, jnp.zeros(12 * config.dim), Slots(*map(jnp.asarray, found))).shape == (49, config.dim)
        assert config.recipe(100_000).steps >= 1
        assert config.middle in config.shares
    angles = preset.orthogonality
    linear = LinearClicks(angles.features * angles.values, angles.dim, angles.features, rngs=nnx.Rngs(0))
    batch = (jnp.zeros((angles.training.batch_size, angles.features), int), jnp.zeros(angles.training.batch_size))
    assert jax.eval_shape(lambda *given: linear_loss(linear, given, KEY), *batch, 0.0).shape == ()
    assert angles.training.steps % angles.snapshots == 0


def test_benchmark_compares_the_same_work():
    both = paper.benchmark.cases(8, KEY)
    for case in both.values():
        gradient = case.function(*case.args)
        table, index = case.args
        flat = jnp.concatenate(gradient) if isinstance(gradient, list) else gradient
        rows = index if not isinstance(table, list) else index + len(table[0]) * np.arange(index.shape[1])[None]
        whole = jnp.concatenate(table) if isinstance(table, list) else table
        expected = np.zeros_like(whole)
        np.add.at(expected, np.asarray(rows), np.asarray(lookup(whole, rows)))
        np.testing.assert_allclose(flat, expected, rtol=1e-5, atol=1e-5)
    assert benchmark.ROWS % benchmark.FEATURES == 0
