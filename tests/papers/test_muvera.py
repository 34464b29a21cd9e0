"""MUVERA: the authors' vectors, the theorems as properties, the pipeline, errors."""

import re
import sys
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.errors import DatasetUnavailable
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_jit_consistent,
    assert_vmap_consistent,
)
from quire.muvera import (
    Centres,
    CountSketch,
    Encoder,
    ExactMIPS,
    FDEConfig,
    FDEParams,
    GraphMIPS,
    MuveraIndex,
    QuantisedMIPS,
    SimHash,
    TokenSets,
    ball_carve,
    brute_force,
    candidates_needed,
    chamfer,
    chamfer_matrix,
    count_sketch,
    document_fde,
    encode_documents,
    encode_queries,
    experiments,
    final_projection,
    gray_bits,
    gray_rank,
    kmeans_partition,
    mean_pool,
    one_recall,
    paper,
    query_fde,
    recall_at,
    sample_count_sketch,
    sample_fde_params,
    sample_inner_projections,
    simhash_bits,
    sufficient_bits,
    sufficient_proj_dim,
    sufficient_repetitions,
    sv_heuristic,
    target_ranks,
    theory,
)
from quire.muvera.config import BoundConfig
from quire.muvera.index import encode_in_chunks
from quire.muvera.partition import neighbours
from quire.muvera.token_collections import needles, open_collection, reference_tokens, unit

PRECISIONS = [pytest.param(jnp.float64, 1e-6, 1e-10, id="float64"), pytest.param(jnp.float32, 2e-5, 1e-5, id="float32")]


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("muvera")


@pytest.fixture
def draw():
    return np.random.default_rng(0)


def tokens_of(draw, *shape):
    return unit(draw.standard_normal(shape)).astype(np.float32)


def params_of(key=0, **options):
    return sample_fde_params(jax.random.key(key), FDEConfig(**{"dim": 5, "repetitions": 2, "simhash_bits": 3} | options))


# --- Golden vectors ----------------------------------------------------------------------------------------------------------


def cases(vectors):
    return {name: vectors.case(name) for name in sorted({n.split("/")[0] for n in vectors.arrays if n.endswith("/params")})}


def golden_params(case, dim, dtype):
    repetitions, _, _, fill, final = (int(x) for x in case["params"])
    simhash = case.get("simhash", np.zeros((repetitions, dim, 0)))
    inner = jnp.asarray(case["inner_proj"], dtype) if "inner_proj" in case else None
    sketch = CountSketch(jnp.asarray(case["cs_index"]), jnp.asarray(case["cs_sign"], dtype)) if final else None
    return FDEParams(SimHash(jnp.asarray(simhash, dtype)), inner, final_projection(sketch, final) if final else None), bool(fill)


@pytest.mark.parametrize(("dtype", "tolerance", "_"), PRECISIONS)
def test_golden_encodings(vectors, dtype, tolerance, _):
    assert cases(vectors)
    with jax.enable_x64(dtype == jnp.float64):
        query, document = jnp.asarray(vectors["Q"], dtype), jnp.asarray(vectors["P"], dtype)
        for case in cases(vectors).values():
            params, fill = golden_params(case, query.shape[1], dtype)
            asked, encoded = query_fde(params, query), document_fde(params, document, fill_empty=fill)
            assert asked.dtype == dtype
            assert_close(asked, case["query_fde"], tolerance)
            assert_close(encoded, case["doc_fde"], tolerance)
            np.testing.assert_allclose(encoded, case["doc_fde"], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(asked @ encoded, case["dot"], rtol=tolerance, atol=tolerance)


def test_golden_definitions(vectors):
    """The token-by-token definition, to which the claims compare, is the authors' too."""
    for case in cases(vectors).values():
        _, _, _, fill, final = (int(x) for x in case["params"])
        dim = vectors["Q"].shape[1]
        simhash = case.get("simhash", np.zeros((int(case["params"][0]), dim, 0))).astype(float)
        for name, document in (("Q", False), ("P", True)):
            out = brute_force.encode(
                vectors[name].astype(float), simhash, case.get("inner_proj"), document=document, fill_empty=bool(fill)
            )
            out = brute_force.sketch(out, case["cs_index"], case["cs_sign"], final) if final else out
            assert_close(out, case["doc_fde" if document else "query_fde"], 1e-6)


@pytest.mark.parametrize(("dtype", "_", "tolerance"), PRECISIONS)
def test_golden_chamfer_carving_and_heuristic(vectors, dtype, _, tolerance):
    query = vectors["Q"].astype(dtype)
    documents, ids = TokenSets.grouped(vectors["corpus_tokens"].astype(dtype), vectors["corpus_doc_id"])
    assert ids.tolist() == list(range(len(vectors["corpus_chamfer"])))
    with jax.enable_x64(dtype == jnp.float64):
        query = jnp.asarray(query)
        assert_close(chamfer(query, jnp.asarray(vectors["P"], dtype)), vectors["chamfer"], tolerance)
        assert_close(chamfer(query, jnp.asarray(vectors["P"], dtype), normalize=True), vectors["nchamfer"], tolerance)
        matrix = chamfer_matrix(TokenSets.of([np.asarray(query)]), documents)
        assert_close(matrix[0], vectors["corpus_chamfer"], tolerance)
        for name in (n for n in vectors.arrays if n.startswith("sv_list_k")):
            k = int(re.search(r"k(\d+)", name)[1])
            found = sv_heuristic(query, documents.tokens, documents.owners, k, dedup=name.endswith("dedup"))
            np.testing.assert_array_equal(found, vectors[name])
        for name in (n for n in vectors.arrays if n.endswith("_labels")):
            stem = name.removesuffix("_labels")
            carved = ball_carve(query, float(stem.removeprefix("ball_tau")))
            np.testing.assert_array_equal(carved.labels, vectors[name])
            groups = np.asarray(carved.sums)[np.asarray(carved.mask)]
            assert_close(groups, vectors[f"{stem}_centers"], tolerance)
            assert_close(chamfer_matrix(TokenSets.of([groups]), documents)[0], vectors[f"{stem}_corpus_scores"], tolerance)


# --- Partitions --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, 1, 3, 6])
def test_gray_code(k):
    rank = jnp.arange(2**k)
    bits = np.asarray(gray_bits(rank, k))
    assert bits.shape == (2**k, k)
    np.testing.assert_array_equal(gray_rank(jnp.asarray(bits)), rank)
    assert [brute_force.rank_of(row) for row in bits] == list(range(2**k))
    assert all((brute_force.bits_of_rank(c, k) == bits[c]).all() for c in range(2**k))
    assert (np.abs(np.diff(bits.astype(int), axis=0)).sum(1) == 1).all(), "neighbours in rank differ in one bit"
    for j, row in enumerate(neighbours(k)):
        changed = bits[row] != bits
        assert changed[:, j].all() and changed.sum() == len(bits)


def test_bits_are_strict_and_collide_by_angle(draw):
    directions = jnp.asarray(draw.standard_normal((3, 20_000)), jnp.float32)
    for cosine in (0.9, 0.2, -0.6):
        x = jnp.array([[1.0, 0.0, 0.0], [cosine, (1 - cosine**2) ** 0.5, 0.0]])
        first, second = np.asarray(simhash_bits(x, directions))
        assert (first != second).mean() == pytest.approx(np.arccos(cosine) / np.pi, abs=0.015)
    assert not simhash_bits(jnp.zeros((1, 3)), directions).any(), "on the hyperplane counts as 0"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_filling_is_the_nearest_token_the_first_of_equals(seed, count):
    draw = np.random.default_rng(seed)
    directions, tokens = draw.standard_normal((2, 5, 4)), tokens_of(draw, 6, 5)
    tokens[1] = tokens[0]  # equals, in bits as well
    mask = np.arange(6) < count
    params = FDEParams(SimHash(jnp.asarray(directions, jnp.float32)))
    expected = brute_force.encode(tokens[:count], directions.astype(np.float32), None, document=True)
    assert_close(document_fde(params, jnp.asarray(tokens), jnp.asarray(mask)), expected, 1e-6)


def test_filling_by_hand():
    # bits are the signs of the coordinates; both tokens differ from the block of (0, 0) in one bit: the first fills it
    params = FDEParams(SimHash(jnp.eye(2)[None]))
    tokens = jnp.array([[0.6, -0.8], [-0.6, 0.8]])
    blocks = document_fde(params, tokens).reshape(4, 2)
    np.testing.assert_allclose(blocks, [tokens[0], tokens[1], tokens[0], tokens[0]], rtol=1e-6)
    swapped = document_fde(params, tokens[::-1]).reshape(4, 2)
    np.testing.assert_allclose(swapped, [tokens[1], tokens[1], tokens[1], tokens[0]], rtol=1e-6)
    empty = document_fde(params, tokens, fill_empty=False).reshape(4, 2)
    np.testing.assert_allclose(empty, [[0, 0], tokens[1], [0, 0], tokens[0]], rtol=1e-6)


def test_centres_fill_with_the_token_nearest_to_the_centre(draw):
    tokens = tokens_of(draw, 12, 5)
    owners = np.repeat([0, 1, 2], [7, 4, 1])
    partition = Centres(jnp.asarray(tokens_of(draw, 2, 6, 5)))
    out = np.asarray(encode_documents(FDEParams(partition), jnp.asarray(tokens), jnp.asarray(owners), 3)).reshape(3, 2, 6, 5)
    for i in range(3):
        own = tokens[owners == i]
        for r, centres in enumerate(np.asarray(partition.centres)):
            distance = ((own[:, None] - centres) ** 2).sum(-1)
            nearest = distance.argmin(1)
            for c in range(6):
                expected = own[nearest == c].mean(0) if (nearest == c).any() else own[distance[:, c].argmin()]
                np.testing.assert_allclose(out[i, r, c], expected, atol=1e-6)


def test_kmeans_partition_starts_anew_for_every_repetition(draw):
    tokens = jnp.asarray(tokens_of(draw, 60, 5))
    partition = kmeans_partition(jax.random.key(0), tokens, 4, 2)
    assert partition.centres.shape == (2, 4, 5) and partition.num_clusters == 4 and partition.dim == 5
    assert not np.allclose(*partition.centres)
    assert len(set(np.asarray(partition._replace(centres=partition.centres[0]).clusters(tokens)).tolist())) == 4


# --- Projections -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dense_sign", "count_sketch"])
def test_inner_projections_are_unbiased(draw, kind):
    matrices = np.asarray(sample_inner_projections(jax.random.key(0), 6, 3, 20_000, kind))
    assert matrices.shape == (20_000, 6, 3)
    x, y = draw.standard_normal((2, 6))
    products = np.einsum("rp,rp->r", x @ matrices, y @ matrices)
    assert products.mean() == pytest.approx(x @ y, abs=4 * products.std() / 20_000**0.5)
    assert products.std() > 0.1
    if kind == "count_sketch":
        assert ((matrices != 0).sum(-1) == 1).all() and set(np.unique(matrices)) == {-1, 0, 1}
        assert np.abs(matrices).mean((0, 1)) == pytest.approx(np.full(3, 1 / 3), abs=0.01)
    else:
        np.testing.assert_allclose(np.abs(matrices), 3**-0.5, rtol=1e-6)


def test_final_projection_is_shared_and_unbiased(draw):
    x, y = draw.standard_normal((2, 40)).astype(np.float32)
    sketches = [sample_count_sketch(jax.random.key(i), 40, 8) for i in range(400)]
    pairs = jnp.stack([jnp.asarray(x), jnp.asarray(y)])
    project = jax.jit(partial(count_sketch, out_dim=8))
    products = np.array([float(np.prod(np.asarray(project(pairs, s)), 0).sum()) for s in sketches])
    assert products.mean() == pytest.approx(x @ y, abs=4 * products.std() / 20)
    params = params_of(final_dim=7)
    plain = params._replace(final=None)
    tokens = jnp.asarray(tokens_of(draw, 4, 5))
    for encode in (query_fde, document_fde):
        expected = brute_force.sketch(np.asarray(encode(plain, tokens)), *map(np.asarray, params.final.sketch), 7)
        np.testing.assert_allclose(encode(params, tokens), expected, atol=1e-5)


# --- Encodings ---------------------------------------------------------------------------------------------------------------


def test_queries_are_sums_and_documents_means(draw):
    params = params_of(proj_dim=3)
    one, two = (jnp.asarray(tokens_of(draw, 4, 5)) for _ in range(2))
    both = jnp.concatenate([one, two])
    np.testing.assert_allclose(query_fde(params, both), query_fde(params, one) + query_fde(params, two), atol=1e-5)
    doubled = jnp.concatenate([one, one])
    np.testing.assert_allclose(query_fde(params, doubled), 2 * query_fde(params, one), atol=1e-5)
    np.testing.assert_allclose(document_fde(params, doubled), document_fde(params, one), atol=1e-5)
    for encode in (query_fde, document_fde):
        assert encode(params, one).shape == (2 * 8 * 3,)


def test_one_block_is_mean_pooling(draw):
    tokens, owners = jnp.asarray(tokens_of(draw, 9, 5)), jnp.asarray(np.repeat([0, 1], [4, 5]))
    params = params_of(repetitions=1, simhash_bits=0)
    for fill in (True, False):
        pooled = encode_documents(params, tokens, owners, 2, fill_empty=fill)
        np.testing.assert_allclose(pooled, mean_pool(tokens, owners, 2), atol=1e-6)
    sums = encode_queries(params, tokens, owners, 2)
    np.testing.assert_allclose(sums, np.array([[4.0], [5.0]]) * np.asarray(mean_pool(tokens, owners, 2)), atol=1e-5)


def test_index_order_is_repetition_block_coordinate(draw):
    params = params_of(proj_dim=3)
    token = jnp.asarray(tokens_of(draw, 1, 5))
    out = np.asarray(query_fde(params, token)).reshape(2, 8, 3)
    for r in range(2):
        c = brute_force.rank_of(np.asarray(simhash_bits(token[0], params.partition.directions[r])))
        np.testing.assert_allclose(out[r, c], token[0] @ params.inner[r], atol=1e-6)
        assert not np.delete(out[r], c, axis=0).any()


def test_padding_does_not_vote(draw):
    params = params_of(proj_dim=3)
    real = tokens_of(draw, 3, 5)
    noise = np.concatenate([real[:2], 100 * tokens_of(draw, 1, 5)])
    padded = jnp.asarray(np.concatenate([noise[:1], real[:1], noise[1:], real[1:]]))
    mask = jnp.array([False, True, False, False, True, True])
    for encode in (query_fde, document_fde):
        np.testing.assert_allclose(encode(params, padded, mask), encode(params, jnp.asarray(real)), atol=1e-6)


def test_sets_alone_padded_one_after_the_other_and_in_chunks(draw):
    params = params_of(proj_dim=3)
    sets = TokenSets.of([tokens_of(draw, n, 5) for n in (2, 5, 1, 3)])
    flat = (jnp.asarray(sets.tokens), jnp.asarray(sets.owners))
    tokens, mask = map(jnp.asarray, sets.padded())
    assert tokens.shape == (4, 5, 5) and mask.sum(1).tolist() == [2, 5, 1, 3]
    for batch, many in ((query_fde, encode_queries), (document_fde, encode_documents)):
        every = many(params, *flat, 4)
        np.testing.assert_allclose(batch(params, tokens, mask), every, atol=1e-6)
        np.testing.assert_allclose(batch(params, tokens[None], mask[None])[0], every, atol=1e-6)
        np.testing.assert_allclose(batch(params, jnp.asarray(sets[2])), every[2], atol=1e-6)  # one token fills all
    for chunk in (3, 9):
        np.testing.assert_allclose(encode_in_chunks(params, sets, chunk=chunk), encode_documents(params, *flat, 4), atol=1e-6)


def test_a_traced_document_without_tokens_is_zero(draw):
    params, tokens = params_of(), jnp.asarray(tokens_of(draw, 2, 3, 5))
    out = jax.jit(document_fde)(params, tokens, jnp.array([[False] * 3, [True] * 3]))
    assert not out[0].any() and np.asarray(out[1]).any()


def test_a_nan_shows(draw):
    params, tokens = params_of(), tokens_of(draw, 3, 5)
    tokens[1, 2] = np.nan
    with jax.debug_nans(False):
        for encode in (query_fde, document_fde):
            assert np.isnan(encode(params, jnp.asarray(tokens))).any()
        centres = FDEParams(Centres(jnp.asarray(tokens_of(draw, 1, 6, 5))))
        assert np.isnan(document_fde(centres, jnp.asarray(tokens))).any()


def test_draws():
    params, again, other = params_of(), params_of(), params_of(key=1)
    np.testing.assert_array_equal(params.partition.directions, again.partition.directions)
    assert not np.allclose(params.partition.directions, other.partition.directions)
    assert not np.allclose(*params.partition.directions), "repetitions are independent"
    assert params.inner is None and params_of(projection="identity", proj_dim=5).inner is None
    wide = sample_fde_params(jax.random.key(0), FDEConfig(100, 10, 10)).partition.directions
    assert float(wide.mean()) == pytest.approx(0, abs=0.05) and float(wide.std()) == pytest.approx(1, abs=0.05)
    assert FDEConfig(128, 20, 5, 16).fde_dim == 10240 and FDEConfig(8, 3, 2, final_dim=9).fde_dim == 9
    assert FDEConfig(8, 3, 2, final_dim=9).label == "(3, 2, 8) → 9"


@pytest.mark.parametrize("encode", [query_fde, document_fde])
def test_transformations_degenerate_inputs_and_dtypes(draw, encode):
    params = params_of(proj_dim=3)
    tokens = tokens_of(draw, 2, 4, 5)
    assert_jit_consistent(partial(encode, params), jnp.asarray(tokens))
    assert_vmap_consistent(partial(encode, params), jnp.asarray(tokens))
    assert_degenerate(partial(encode, params), tokens[0])
    assert_dtypes(partial(encode, params), tokens[0])


# --- The theorems ------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7))
def test_lemma_a3_one_sided(seed, bits, repetitions, asked, held):
    draw = np.random.default_rng(seed)
    query, document = unit(draw.standard_normal((asked, 4))), unit(draw.standard_normal((held, 4)))
    estimate = brute_force.estimate(query, document, draw.standard_normal((repetitions, 4, bits)))
    exact = brute_force.chamfer(query, document) / asked
    assert estimate <= exact + 1e-12
    if held == 1:
        assert estimate == pytest.approx(exact, abs=1e-12)


def test_the_estimate_is_the_inner_product_of_the_encodings(draw):
    query, document = tokens_of(draw, 6, 5), tokens_of(draw, 9, 5)
    params = params_of(simhash_bits=4, repetitions=3)
    product = query_fde(params, jnp.asarray(query)) @ document_fde(params, jnp.asarray(document))
    directions = np.asarray(params.partition.directions)
    assert float(product) / (3 * 6) == pytest.approx(brute_force.estimate(query, document, directions), abs=1e-6)


def failure_share(draw, eps, delta, tokens, related, shrink=1, trials=100):
    """Share of draws in which the estimate of Theorem 2.1 errs by more than eps."""
    bits = max(1, sufficient_bits(2 * tokens, eps, delta) // shrink)
    fails = 0
    for _ in range(trials):
        document = unit(draw.standard_normal((tokens, 16)))
        query = unit((document if related else 0) + 0.15 * draw.standard_normal((tokens, 16)))
        exact = brute_force.chamfer(query, document) / tokens
        fails += abs(exact - brute_force.estimate(query, document, draw.standard_normal((1, 16, bits)))) > eps
    return fails / trials


@pytest.mark.parametrize("eps", [0.5, 0.35, 0.25])
@pytest.mark.parametrize("related", [True, False])
def test_theorem_2_1_partition(draw, eps, related):
    for tokens in (4, 16):
        assert failure_share(draw, eps, 0.1, tokens, related) <= 0.1
    if related:
        assert failure_share(draw, eps, 0.1, 16, related, shrink=4) > 0.3, "a quarter of the hyperplanes is too few"


def test_theorem_2_1_projection(draw):
    """Projected as the theorem asks, inner products stay within eps, all pairs at once."""
    eps, delta, tokens = 0.5, 0.1, 6
    dims = sufficient_proj_dim(2 * tokens, eps, delta, constant=4)
    for kind in ("dense_sign", "count_sketch"):
        maps = np.asarray(sample_inner_projections(jax.random.key(1), 64, dims, 100, kind))
        x, y = unit(draw.standard_normal((2, tokens, 64)))
        errors = np.abs(np.einsum("rip,rjp->rij", x @ maps, y @ maps) - x @ y.T).max((1, 2))
        assert (errors > eps).mean() <= delta


def test_theorem_2_2_the_first_document_is_nearly_the_best(draw):
    documents, tokens, eps = 20, 6, 0.3
    repetitions = sufficient_repetitions(documents, eps)
    losses = []
    for _ in range(20):
        sets, query = unit(draw.standard_normal((documents, tokens, 16))), unit(draw.standard_normal((tokens, 16)))
        planes = draw.standard_normal((repetitions, 16, 5))
        exact = np.array([brute_force.chamfer(query, p) / tokens for p in sets])
        for used in (planes, planes[:1]):
            losses.append(exact.max() - exact[np.argmax([brute_force.estimate(query, p, used) for p in sets])])
    many, one = np.array(losses).reshape(-1, 2).T
    assert many.max() <= eps
    assert many.mean() < 0.6 * one.mean(), "a single repetition chooses worse"


def test_lemma_a1_queries_are_sparse(draw):
    params = params_of(simhash_bits=6, proj_dim=3)
    out = query_fde(params, jnp.asarray(tokens_of(draw, 4, 5)))
    assert 0 < int((out != 0).sum()) <= theory.query_nonzeros(4, 3, 2) < len(out)


# --- Chamfer similarity and carving ------------------------------------------------------------------------------------------


def test_chamfer_is_its_definition(draw):
    query, document = draw.standard_normal((3, 4, 5)), draw.standard_normal((3, 6, 5))
    asked, held = draw.random((3, 4)) < 0.6, draw.random((3, 6)) < 0.6
    asked[:, 0] = held[:, 0] = True
    arguments = [jnp.asarray(x) for x in (query, document, asked, held)]
    expected = [brute_force.chamfer(query[i][asked[i]], document[i][held[i]]) for i in range(3)]
    np.testing.assert_allclose(chamfer(*arguments), expected, rtol=1e-5)
    np.testing.assert_allclose(chamfer(*arguments, normalize=True), expected / asked.sum(1), rtol=1e-5)
    np.testing.assert_allclose(chamfer(*arguments[:2])[0], brute_force.chamfer(query[0], document[0]), rtol=1e-5)
    assert not np.allclose(chamfer(*arguments[:2]), chamfer(*arguments[1::-1])), "not symmetric"


@pytest.mark.parametrize("block", [1, 3, 100])
def test_chamfer_matrix_in_blocks(block):
    draw = np.random.default_rng(3)
    queries, documents = (TokenSets.of([tokens_of(draw, n, 5) for n in sizes]) for sizes in ((2, 3, 1), (4, 1, 2, 6)))
    expected = [[brute_force.chamfer(queries[i], documents[j]) for j in range(4)] for i in range(3)]
    np.testing.assert_allclose(chamfer_matrix(queries, documents, block=block), expected, rtol=1e-5)


def test_carving_by_hand():
    # cosines .9, .9 and .6: the third is near the second, which is in a group already, and not near the pivot
    angle = np.arccos(0.9)
    query = jnp.asarray(np.stack([[np.cos(a), np.sin(a)] for a in (0, angle, 2 * angle)]), jnp.float32)
    carved = ball_carve(query, 0.7)
    assert carved.labels.tolist() == [0, 0, 1] and carved.mask.tolist() == [True, True, False]
    np.testing.assert_allclose(carved.sums, [query[0] + query[1], query[2], [0, 0]], atol=1e-6)
    assert ball_carve(query, 0.5).labels.tolist() == [0, 0, 0]
    assert ball_carve(query, 1.1).labels.tolist() == [0, 1, 2], "the pivot always belongs"
    masked = ball_carve(query, 0.7, jnp.array([False, True, True]))
    assert masked.labels.tolist() == [-1, 0, 0]
    np.testing.assert_allclose(masked.sums[0], query[1] + query[2], atol=1e-6)


def test_carving_is_its_definition(draw):
    for seed in range(20):
        query = tokens_of(np.random.default_rng(seed), 7, 3)
        np.testing.assert_array_equal(ball_carve(jnp.asarray(query), 0.4).labels, brute_force.carve(query, 0.4))
    queries = TokenSets.of([tokens_of(draw, n, 3) for n in (5, 2, 7)])
    carved = experiments.carve_all(queries, 0.4)
    for i in range(3):
        labels = brute_force.carve(queries[i], 0.4)
        np.testing.assert_allclose(carved[i], [queries[i][labels == g].sum(0) for g in range(labels.max() + 1)], atol=1e-6)
    whole = experiments.carve_all(queries, -np.inf)
    np.testing.assert_allclose(whole.tokens, [queries[i].sum(0) for i in range(3)], atol=1e-6)


def test_similarities_at_the_edge(draw):
    assert_degenerate(chamfer, tokens_of(draw, 3, 4), tokens_of(draw, 2, 4), axes=(0, 1), scales=(1e-10, 1e6))
    tokens = tokens_of(draw, 3, 4)
    assert_dtypes(chamfer, tokens, tokens[:2])  # no cancellation in the sum
    assert_degenerate(lambda q: ball_carve(q, 0.5).sums, tokens_of(draw, 3, 4), differentiable=False)
    assert_dtypes(lambda q: ball_carve(q, 0.5).sums, np.array([[1, 0.1, 0], [0.9, -0.2, 0.1], [-0.1, 0.2, 1]]))


# --- Candidates and the pipeline ---------------------------------------------------------------------------------------------


def test_sv_heuristic_ties_and_ranks():
    tokens = jnp.array([[1.0, 0], [0, 1], [1, 0], [0.5, 0.5]])
    owners = np.array([7, 3, 3, 5])
    query = jnp.array([[1.0, 0], [0, 1]])
    assert sv_heuristic(query, tokens, owners, 2, dedup=False).tolist() == [7, 3, 3, 5]
    assert sv_heuristic(query, tokens, owners, 4, dedup=True).tolist() == [7, 3, 5]


def test_exact_and_quantised_search(draw):
    database, queries = (jnp.asarray(draw.standard_normal((n, 16)), jnp.float32) for n in (60, 7))
    expected = np.argsort(-(queries @ database.T), axis=1)[:, :9]
    for block in (None, 11):
        np.testing.assert_array_equal(ExactMIPS(database, block).search(queries, 9), expected)
    index = QuantisedMIPS.fit(database, centres=60, group_dim=4, key=jax.random.key(0), iters=1)
    assert index.codes.dtype == np.uint8 and index.codes.shape == (60, 4) and index.compression == 16
    np.testing.assert_allclose(index.scores(queries), queries @ database.T, rtol=1e-4, atol=1e-5)  # as many centres as vectors
    np.testing.assert_array_equal(index.search(queries, 9), expected)
    rough = QuantisedMIPS.fit(database, centres=8, group_dim=8, key=jax.random.key(0), sample=30)
    decoded = np.asarray(rough.codebook.centres)[np.arange(2), rough.codes].reshape(60, 16)
    np.testing.assert_allclose(rough.scores(queries), queries @ decoded.T, rtol=1e-4, atol=1e-4)
    fitted = QuantisedMIPS.fit(database[:8], centres=8, group_dim=8, key=jax.random.key(0), sample=8)
    assert len(fitted.codes) == 8


def test_faiss_finds_what_exact_search_finds(draw):
    pytest.importorskip("faiss")
    database, queries = (draw.standard_normal((n, 8)).astype(np.float32) for n in (50, 6))
    graph = GraphMIPS(database, degree=16, build_beam=50, search_beam=50)
    np.testing.assert_array_equal(graph.search(queries, 5), ExactMIPS(jnp.asarray(database)).search(jnp.asarray(queries), 5))
    with pytest.raises(ValueError, match="k is 51"):
        graph.search(queries, 51)


def test_without_faiss_the_error_says_what_to_install(monkeypatch, draw):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"quire-muvera\[faiss\]"):
        GraphMIPS(draw.standard_normal((4, 2)))


def test_the_index_finds_reranks_and_names(draw):
    sets = [tokens_of(draw, n, 8) for n in (3, 6, 4, 5, 2)]
    ids = np.array([40, 10, 30, 20, 50])
    order = np.argsort(draw.random(20))
    tokens, doc_ids = np.concatenate(sets)[order], np.repeat(ids, [len(s) for s in sets])[order]
    index = MuveraIndex.build(tokens, doc_ids, FDEConfig(8, repetitions=4, simhash_bits=2))
    query = tokens_of(draw, 4, 8)
    exact = np.array([brute_force.chamfer(query, s) for s in sets])
    found = index.search(query, n_candidates=5, k=3)
    assert found.doc_ids.tolist() == ids[np.argsort(-exact)[:3]].tolist()
    np.testing.assert_allclose(found.scores, np.sort(exact)[::-1][:3], rtol=1e-5)
    labels = brute_force.carve(query, 0.2)
    groups = np.stack([query[labels == g].sum(0) for g in range(labels.max() + 1)])
    carved = np.array([brute_force.chamfer(groups, s) for s in sets])
    np.testing.assert_allclose(index.search(query, 5, 5, tau=0.2).scores, np.sort(carved)[::-1], rtol=1e-5)
    plain = index.search(query, 5, 2, rerank=False)
    scores = query_fde(index.params, jnp.asarray(query)) @ index.mips.database.T
    assert plain.doc_ids.tolist() == np.sort(ids)[np.argsort(-scores)[:2]].tolist() and np.isnan(plain.scores).all()
    assert index.candidates(TokenSets.of([query]), 2)[0].tolist() == plain.doc_ids.tolist()
    fewer = index.search(query, n_candidates=2, k=2)
    assert set(fewer.doc_ids.tolist()) == set(plain.doc_ids.tolist()), "re-ranking only reorders the candidates"


def test_recall_counts():
    lists = [np.array([4, 2, 9]), np.array([1, 3]), np.array([5])]
    ranks = target_ranks(lists, np.array([2, 7, 5]))
    assert ranks.tolist() == [2, np.inf, 1]
    assert [one_recall(ranks, n) for n in (1, 2, 50)] == [1 / 3, 2 / 3, 2 / 3]
    assert candidates_needed(ranks, 2 / 3) == 2 and candidates_needed(ranks, 0.9) == np.inf
    assert candidates_needed(np.arange(1.0, 11), 0.9) == 9
    assert recall_at(lists, [np.array([9, 4]), np.array([], int), np.array([6])], 2) == 0.25


# --- Collections -------------------------------------------------------------------------------------------------------------


def test_needles_are_what_they_say():
    collection = needles(jax.random.key(0), 32, queries=3, tokens=6, distractors=4, others=5)
    assert len(collection.documents) == 15 and set(collection.documents.lengths) == {11}
    for i, query in enumerate(collection.queries[j] for j in range(3)):
        assert collection.relevant[i].tolist() == [5 * i]
        np.testing.assert_allclose(np.sum(query * collection.documents[5 * i][:6], axis=1), 0.75, rtol=1e-5)
        for d in range(5 * i + 1, 5 * i + 5):
            best = np.sort((query @ collection.documents[d][:2].T).max(1))
            np.testing.assert_allclose(best[-2:], 0.95, rtol=1e-5)
            assert best[-3] < 0.9
    np.testing.assert_allclose(np.linalg.norm(collection.documents.tokens, axis=1), 1, rtol=1e-5)


def test_encoder():
    texts = ["The cat and the dog", "a cat and a bird", "dog and bird and cat", ""]
    encoder = Encoder(texts, 2, jax.random.key(0))
    assert list(encoder.vocabulary) == ["and", "bird", "cat", "dog"]  # sorted; "the" and "a" stand in one text only
    sets = encoder(texts)
    assert sets.lengths.tolist() == [2, 2, 3, 0], "stop words and unknown words are dropped"
    np.testing.assert_allclose(np.linalg.norm(sets.tokens, axis=1), 1, rtol=1e-5)
    cat, dog, joint = (encoder.vectors[encoder.vocabulary[w]] for w in ("cat", "dog", "and"))
    np.testing.assert_allclose(
        sets[0], unit(np.stack([0.6 * cat + 0.2 * (joint + dog), 0.6 * dog + 0.2 * (cat + joint)])), atol=1e-5
    )
    assert len(encoder(["nothing known"])) == 1 and len(encoder([])) == 0
    with pytest.raises(ValueError, match="dim is 5"):
        Encoder(texts, 5, jax.random.key(0))


def test_collections_open(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    monkeypatch.setattr("quire.common.data.registry.cache_dir", lambda: tmp_path / "cache")
    source = open_collection("cranfield", 8)
    assert source.name.startswith("Python language reference") and source.stand_in_for == "ColBERTv2 tokens of BEIR"
    assert source.value.documents.lengths.all() and source.value.queries.lengths.all()
    with pytest.raises(DatasetUnavailable, match="colbertv2-beir"):
        open_collection(paper.presets["paper"].search.collection, 128)
    again = reference_tokens(8, jax.random.key(0))
    np.testing.assert_array_equal(again.queries.tokens, source.value.queries.tokens)


def test_cranfield_tokens(quire_data):
    collection = open_collection("cranfield", 16).value
    assert len(collection.documents) == 1398 and len(collection.queries) == len(collection.relevant) == 225
    assert max(r.max() for r in collection.relevant if len(r)) < 1398
    assert 80 < collection.documents.lengths.mean() < 95 and 9 < collection.queries.lengths.mean() < 12


# --- Presets, claims, benchmark ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["standard", "paper"])
def test_presets_trace(preset):
    config = paper.presets[preset]
    c = config.search
    assert c.quantised in c.ladder and c.pooled_rival in c.ladder and c.judged_tau in c.taus
    dims = [fde.fde_dim for fde in c.ladder]
    assert dims == sorted(set(dims)) and all(fde.dim == c.dim for fde in c.ladder)
    tokens = jax.ShapeDtypeStruct((640, c.dim), jnp.float32)
    owners = jax.ShapeDtypeStruct((640,), jnp.int32)
    for fde in (c.ladder[0], c.ladder[-1]):
        params = sample_fde_params(jax.random.key(0), fde)
        out = jax.eval_shape(lambda p, x, o: encode_documents(p, x, o, 10), params, tokens, owners)
        assert out.shape == (10, fde.fde_dim) and fde.fde_dim % c.group_dim == 0
    f = config.filling
    shapes = [(f.repetitions, f.dim, f.max_bits), (2, f.query_tokens, f.dim), (2, f.document_tokens, f.dim), (2,)]
    errors = jax.eval_shape(experiments.errors_by_bits, *(jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes))
    assert errors.shape == (f.max_bits + 1, 2)


def test_claims_are_those_of_the_card():
    assert list(paper.claims) == ["C1", "C2", "C3", "C4a", "C4b", "C5", "C6"]
    assert [id for id, claim in paper.claims.items() if claim.exact] == ["C1", "C2"]
    criteria = {id: str(claim.holds) for id, claim in paper.claims.items()}
    assert criteria["C2"] == "value ≤ 1e-06; float32 ≤ 2e-05"
    for id, parts in {
        "C1": ["value ≤ 1e-06", "error at one document token ≤ 1e-06", "excess for p = -q without filling > 0.5"],
        "C3": ["filled < 0 in every seed", "filled ≤ 0.6 in every seed", "not filled > 0 in every seed"],
        "C4a": ["deduplicated SV heuristic ≤ 0.25 in every seed", "mean pooling < 1 in every seed"],
        "C4b": ["mean pooling < 0.85 in every seed"],
        "C5": ["ladder > 0 on average", "over draws ≤ 3 on average"],
        "C6": ["lost by carving ≤ 2 in every seed", "lost by quantisation ≤ 5 in every seed"],
    }.items():
        assert all(part in criteria[id] for part in parts), criteria[id]


def test_exact_claims_hold_under_shape_checks():
    small = replace(paper.presets["quick"], bound=BoundConfig(pairs=20, dim=5, repetitions=2, simhash_bits=3))
    for id in ("C1", "C2"):
        claim = paper.claims[id]
        measured = [claim(small, jax.random.key(7))]
        assert claim.holds.judge(measured).verdict == "reproduced"
        assert max(measured[0].value, measured[0].extras["float32"]) < 2e-6


def test_no_hyperplane_splits_nothing(draw):
    """C3 turns k hyperplanes into fewer by zero normals: the errors are those of an encoding with fewer."""
    query, document = tokens_of(draw, 2, 3, 5), tokens_of(draw, 2, 4, 5)
    planes = draw.standard_normal((2, 5, 3)).astype(np.float32)
    truth = np.array([brute_force.chamfer(q, p) / 3 for q, p in zip(query, document, strict=True)])
    errors = np.asarray(experiments.errors_by_bits(*map(jnp.asarray, (planes, query, document, truth.astype(np.float32)))))
    for k in range(4):
        estimates = [brute_force.estimate(q, p, planes[..., :k]) for q, p in zip(query, document, strict=True)]
        assert errors[k, 0] == pytest.approx(np.abs(truth - estimates).mean(), abs=1e-6)
    assert errors[3, 1] > errors[3, 0] and errors[0, 0] == errors[0, 1]


def test_reranking_recall(draw):
    exact = draw.standard_normal((3, 8))
    candidates = np.argsort(-exact, axis=1)[:, :5]
    assert experiments.recall_after_reranking(exact, exact, candidates, 2) == 1
    assert experiments.recall_after_reranking(exact, -exact, candidates, 2) == 0
    assert experiments.recall_after_reranking(exact, exact, candidates[:, 1:], 2) == 0.5


def test_benchmark_forms_agree():
    cases = paper.benchmark.cases(2, jax.random.key(0))
    assert list(cases) == ["segment sums", "every cluster"]
    fast, slow = (case.function(*case.args) for case in cases.values())
    assert_close(fast, slow, 1e-5)


# --- Errors ------------------------------------------------------------------------------------------------------------------

PARAMS = FDEParams(SimHash(jnp.ones((1, 2, 1))))
TWO = TokenSets(np.eye(2, dtype=np.float32), np.array([1, 1]))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("dim is 0", lambda: FDEConfig(0)),
        ("repetitions is 0", lambda: FDEConfig(2, repetitions=0)),
        ("simhash_bits is 31", lambda: FDEConfig(2, simhash_bits=31)),
        ("simhash_bits is -1", lambda: FDEConfig(2, simhash_bits=-1)),
        ("proj_dim is 0", lambda: FDEConfig(2, proj_dim=0)),
        ("final_dim is -1", lambda: FDEConfig(2, final_dim=-1)),
        ("projection is 'ams'", lambda: FDEConfig(2, projection="ams")),
        ("proj_dim is 1; the identity", lambda: FDEConfig(2, projection="identity", proj_dim=1)),
        ("fill_empty is True", lambda: query_fde(PARAMS, jnp.ones((1, 2)), fill_empty=True)),
        ("for dimension 2", lambda: query_fde(PARAMS, jnp.ones((1, 3)))),
        ("for dimension 2", lambda: document_fde(PARAMS, jnp.ones((1, 3)))),
        ("document 0 has no tokens", lambda: document_fde(PARAMS, jnp.ones((0, 2)))),
        ("document 1 has no tokens", lambda: document_fde(PARAMS, jnp.ones((2, 1, 2)), jnp.array([[True], [False]]))),
        ("mask has shape", lambda: document_fde(PARAMS, jnp.ones((2, 2)), jnp.ones(3, bool))),
        ("owners run from 0 to 3", lambda: encode_queries(PARAMS, jnp.ones((2, 2)), jnp.array([0, 3]), 2)),
        ("owners has shape", lambda: encode_queries(PARAMS, jnp.ones((2, 2)), jnp.array([0]), 2)),
        ("too many for 32-bit", lambda: encode_queries(PARAMS, jnp.ones((1, 2)), jnp.array([0]), 2**30)),
        ("projection is 'ams'", lambda: sample_inner_projections(jax.random.key(0), 2, 2, 1, "ams")),
        ("are 2, 0, 1", lambda: sample_inner_projections(jax.random.key(0), 2, 0, 1, "dense_sign")),
        ("dim is 2 and out_dim 0", lambda: sample_count_sketch(jax.random.key(0), 2, 0)),
        ("the sketch is for dimension 2", lambda: count_sketch(jnp.ones(3), CountSketch(jnp.zeros(2, int), jnp.ones(2)), 2)),
        ("shapes", lambda: chamfer(jnp.ones((1, 2)), jnp.ones((1, 3)))),
        ("document has no tokens", lambda: chamfer(jnp.ones((1, 2)), jnp.ones((0, 2)))),
        ("document has no tokens", lambda: chamfer(jnp.ones((1, 2)), jnp.ones((1, 2)), None, jnp.array([False]))),
        ("query has no tokens", lambda: chamfer(jnp.ones((0, 2)), jnp.ones((1, 2)), normalize=True)),
        ("query_mask has shape", lambda: chamfer(jnp.ones((1, 2)), jnp.ones((1, 2)), jnp.ones(2, bool), normalize=True)),
        ("block is 0", lambda: chamfer_matrix(TWO, TWO, block=0)),
        ("documents have 3", lambda: chamfer_matrix(TWO, TokenSets(np.eye(3), np.array([3])))),
        ("document 1 has no tokens", lambda: chamfer_matrix(TWO, TokenSets(np.eye(2), np.array([2, 0])))),
        ("lengths sum to 3", lambda: TokenSets(np.eye(2), np.array([1, 2]))),
        ("ids have shape", lambda: TokenSets.grouped(np.eye(2), np.array([1]))),
        ("k is 3", lambda: sv_heuristic(jnp.eye(2), jnp.eye(2), np.array([0, 1]), 3)),
        ("k is 9", lambda: QuantisedMIPS.fit(jnp.eye(2), centres=9, group_dim=1, key=jax.random.key(0))),
        ("group_dim is 3", lambda: QuantisedMIPS.fit(jnp.eye(2), centres=2, group_dim=3, key=jax.random.key(0))),
        ("degree and beams are 0", lambda: GraphMIPS(np.eye(2), degree=0)),
        ("tokens are empty", lambda: MuveraIndex.build(np.ones((0, 2)), np.zeros(0, int), FDEConfig(2))),
        ("for dimension 2", lambda: MuveraIndex.build(np.ones((1, 3)), np.zeros(1, int), FDEConfig(2))),
        ("chunk is 0", lambda: encode_in_chunks(PARAMS, TWO, chunk=0)),
        ("k is 2 of 1", lambda: MuveraIndex.build(np.eye(2), np.arange(2), FDEConfig(2)).search(np.eye(2), 1, 2)),
        ("k is 1 of 3", lambda: MuveraIndex.build(np.eye(2), np.arange(2), FDEConfig(2)).search(np.eye(2), 3, 1)),
        ("1 lists and 2 targets", lambda: target_ranks([np.array([1])], np.array([1, 2]))),
        ("ranks is empty", lambda: one_recall(np.zeros(0), 3)),
        ("recall is 1.5", lambda: candidates_needed(np.ones(2), 1.5)),
        ("1 lists and 0 sets", lambda: recall_at([np.array([1])], [], 1)),
        ("no query has", lambda: recall_at([np.array([1])], [np.array([], int)], 1)),
        ("eps is 0", lambda: sufficient_bits(4, 0, 0.1)),
        ("delta is 2", lambda: sufficient_proj_dim(4, 0.1, 2)),
        ("documents is 0", lambda: sufficient_repetitions(0, 0.1)),
    ],
)
def test_value_errors(as_installed, message, call):
    with pytest.raises(ValueError, match=message):
        call()
