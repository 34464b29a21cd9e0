"""The tensor brain: golden parity, the decoder, memories, priors, tensor models, worlds, presets."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.metrics.ranking import filtered_ranks, mrr
from quire.common.tensors.multilinear import tucker_score
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_gradients, assert_jit_consistent, cast
from quire.tensor_brain import (
    PRESETS,
    ConceptEmbeddings,
    DecoderWeights,
    EpisodicMemory,
    Index,
    KGModel,
    LinkPrediction,
    MemoryWeights,
    Perception,
    SemanticDecoder,
    TensorBrain,
    TinyWorld,
    WorkingMemory,
    activation,
    answer,
    beam,
    benchmark,
    complex_score,
    cue,
    distmult_score,
    divergence,
    episodic_score,
    greedy,
    index_logits,
    joint,
    log_joint,
    log_posterior,
    log_prob,
    log_probs,
    lookup_table,
    made_graph,
    marginalise_time,
    mixture,
    open_graph,
    paper,
    perceive,
    perceptual_world,
    posterior,
    predicate_marginal,
    product_of_marginals,
    relation,
    remember,
    replay,
    replay_counts,
    rescal_score,
    sample,
    step_logits,
    transe_score,
    write,
)
from quire.tensor_brain.link_prediction import compare, frequencies, judge, one_of_all_objects
from quire.tensor_brain.scenes import build_brain, dream, perception_and_memory, see
from quire.tensor_brain.tensor_models import KINDS
from quire.tensor_brain.tiny_world import VARIANTS, AblatedBrain, memorise, predicate_loss, table_of_predicates, variants

KEY = jax.random.key(0)
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float64, 1e-10), (jnp.float32, 1e-5)], ids=["float64", "float32"]
)


def weights_of(w):
    memory = MemoryWeights(w["V"], w["Uh"], w["v0"], w["B"])
    return DecoderWeights(Index(w["A"], w["a0"]), Index(w["P"], w["p0"]), memory)


def perceptions(golden):
    return sorted({name.split("/")[0] for name in golden.arrays if name.startswith("perc")}, key=lambda name: int(name[4:]))


# --- Golden vectors ---


@PRECISIONS
def test_golden_perception(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("tensor_brain")
        w = cast(vectors.case("w"), dtype)
        weights, joint_of = weights_of(w), jax.jit(joint)
        u = jnp.asarray(vectors["u"], dtype)
        for i, name in enumerate(perceptions(vectors)):
            case = vectors.case(name)
            q = perceive(w["W"], w["w0"], u[i])
            assert_close(q, case["q"], tolerance)
            assert_close(jax.nn.softmax(index_logits(weights.entities, q)), case["P_s"], tolerance)
            assert_close(joint_of(weights, q), case["joint_sop"], tolerance)
        s, o, p = vectors["train/triple_sop"].tolist()
        q = perceive(w["W"], w["w0"], u[0])
        assert_close(-log_prob(weights, q, s, p, o), vectors["train/nll_perc0"], tolerance)


@PRECISIONS
def test_golden_memories(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("tensor_brain")
        w = cast(vectors.case("w"), dtype)
        weights, joint_of = weights_of(w), jax.jit(joint)
        views = [perceive(w["W"], w["w0"], u) for u in jnp.asarray(vectors["u"], dtype)]
        assert_close(jax.jit(jax.vmap(lambda a: joint(weights, a)))(w["T"]), vectors["epis/joint_tsop"], tolerance)
        found = jax.jit(mixture)(weights, w["T"], jnp.asarray(vectors["epis/weights"], dtype))
        assert_close(found, vectors["epis/mixture_sop"], tolerance)
        episodes = EpisodicMemory(w["T"].shape[1], w["T"])
        t = episodes.write(views[0])
        assert t == len(w["T"])
        assert_close(joint_of(weights, episodes.recall(t)), vectors["epis/oneshot_joint"], tolerance)
        assert_close(cue(w["T"], views[1]), vectors["epis/P_t_given_cue"], tolerance)
        semantic = joint_of(weights, w["abar"])
        assert_close(semantic, vectors["sem/joint_sop"], tolerance)
        seen = joint_of(weights, views[0])
        assert_close(posterior(seen, semantic), vectors["bayes/posterior_sop"], tolerance)
        in_logs = log_posterior(jnp.log(seen), jnp.log(semantic))
        assert_close(jnp.exp(in_logs), vectors["bayes/posterior_sop"], tolerance)


@PRECISIONS
def test_golden_scores(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("tensor_brain")
        w = cast(vectors.case("w"), dtype)
        s, p, o, t = vectors["idx/spot"].T
        a_s, a_p, a_o, a_t = w["A"][s], w["P"][p], w["A"][o], w["T"][t]
        found = {
            "rescal": rescal_score(a_s, w["R"][p], a_o),
            "distmult": distmult_score(a_s, a_p, a_o),
            "complex": complex_score(a_s, a_p, a_o),
            "tucker": tucker_score(w["C"], a_s, a_p, a_o),
            "transe": transe_score(a_s, a_p, a_o),
            "cp_episodic": episodic_score(a_s, a_p, a_o, a_t),
            "cp_semantic_sum_t": episodic_score(a_s, a_p, a_o, jnp.broadcast_to(marginalise_time(w["T"]), a_s.shape)),
        }
        assert_close(found, {name: vectors[f"score/{name}"] for name in found}, tolerance)


@PRECISIONS
def test_golden_ranks(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("tensor_brain")
        scores, target, known = (jnp.asarray(vectors[f"rank/{name}"]) for name in ("scores", "true", "known"))
        ranks = filtered_ranks(scores.astype(dtype), target, known)
        np.testing.assert_array_equal(ranks, vectors["rank/filtered_rank"])
        assert_close(mrr(ranks), vectors["rank/mrr"], tolerance)


# --- The decoder ---

SIZES = (4, 3, 5, 6)  # entities, predicates, r, r_h


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module")
def weights():
    n_e, n_p, r, r_h = SIZES
    shapes = [(n_e, r), (n_e,), (n_p, r), (n_p,), (r_h, r), (r_h, r_h), (r_h,), (r, r_h)]
    a, a0, p, p0, *memory = (jnp.asarray(numbers(*shape, seed=i)) for i, shape in enumerate(shapes))
    return DecoderWeights(Index(a, a0), Index(p, p0), MemoryWeights(*memory))


@pytest.fixture(scope="module")
def q0():
    return jnp.asarray(numbers(SIZES[2], seed=20))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


def step_by_step(weights, q, s, o):
    """The three distributions, term by term in float64."""
    (a, a0, _), (p, p0, _), (v, u, v0, b) = jax.tree.map(lambda x: np.asarray(x, float), weights)
    q = np.asarray(q, float)
    h1 = np.tanh(v @ sigmoid(q + a[s]) + v0)
    q1 = q + a[s] + b @ h1
    h2 = np.tanh(v @ sigmoid(q1 + a[o]) + u @ h1 + v0)
    q2 = q1 + a[o] + b @ h2
    return softmax(a0 + a @ sigmoid(q)), softmax(a0 + a @ sigmoid(q1)), softmax(p0 + p @ sigmoid(q2))


@pytest.fixture(scope="module")
def whole(weights, q0):
    return np.asarray(jax.jit(joint)(weights, q0))


def test_every_triple_is_three_decisions(weights, q0, whole):
    n_e, n_p = SIZES[:2]
    ids = np.array(list(product(range(n_e), range(n_p), range(n_e))))
    expected = np.zeros_like(whole)
    for s, o in product(range(n_e), repeat=2):
        first, second, third = step_by_step(weights, q0, s, o)
        expected[s, o] = first[s] * second[o] * third
    np.testing.assert_allclose(whole, expected, rtol=2e-5)
    np.testing.assert_allclose(whole.sum(), 1, rtol=1e-6)
    found = jax.jit(log_probs)(weights, jnp.tile(q0[None], (len(ids), 1)), ids)
    np.testing.assert_allclose(np.exp(found), whole[ids[:, 0], ids[:, 2], ids[:, 1]], rtol=2e-5)
    np.testing.assert_allclose(np.exp(log_prob(weights, q0, 1, 2, 3)), whole[1, 3, 2], rtol=2e-5)
    for found, right in zip(step_logits(weights, q0, 1, 3), step_by_step(weights, q0, 1, 3), strict=True):
        np.testing.assert_allclose(jax.nn.softmax(found), right, rtol=2e-5)


def test_questions_are_conditionals_of_the_joint(weights, q0, whole):
    np.testing.assert_allclose(answer(weights, q0, 2, 1), whole[2, :, 1] / whole[2, :, 1].sum(), rtol=2e-5)
    np.testing.assert_allclose(relation(weights, q0, 2, 1), whole[2, 1] / whole[2, 1].sum(), rtol=2e-5)


def test_a_wide_beam_is_exact_and_a_beam_of_one_is_greedy(weights, q0, whole):
    triples, scores = jax.jit(beam, static_argnums=2)(weights, q0, 20)
    order = np.argsort(-whole, axis=None)[:20]
    np.testing.assert_allclose(np.exp(scores), whole.ravel()[order], rtol=2e-5)
    s, o, p = np.unravel_index(order, whole.shape)
    np.testing.assert_array_equal(triples, np.stack([s, p, o], axis=1))
    one, _ = beam(weights, q0, 1)
    first, *_ = step_by_step(weights, q0, 0, 0)
    s = first.argmax()
    o = step_by_step(weights, q0, s, 0)[1].argmax()
    decided = [s, step_by_step(weights, q0, s, o)[2].argmax(), o]
    np.testing.assert_array_equal(one[0], decided)
    np.testing.assert_array_equal(greedy(weights, q0), decided)
    assert len(beam(weights, q0, 1000)[0]) == whole.size


def test_samples_follow_the_joint(weights, q0, whole):
    triples = jax.jit(sample, static_argnums=3)(weights, KEY, q0, 4000)
    shares = replay_counts(triples, *SIZES[:2])
    np.testing.assert_allclose(shares.sum(), 1, rtol=1e-5)
    assert np.abs(shares - whole).max() < 0.03
    assert float(divergence(shares, jnp.asarray(whole))) < 0.03


def test_parts_of_the_decoder_matter(weights, q0, whole):
    """Separate top-down weights equal to the embeddings change nothing, others do; without B there is no memory of the order."""
    entities, predicates, memory = weights
    tied = DecoderWeights(entities._replace(broadcast=entities.embeddings), predicates, memory)
    found = jax.jit(joint)
    np.testing.assert_array_equal(found(tied, q0), whole)
    assert np.abs(found(tied._replace(entities=tied.entities._replace(broadcast=-entities.embeddings)), q0) - whole).max() > 0.01
    without = DecoderWeights(entities, predicates, memory._replace(B=0 * memory.B))
    np.testing.assert_allclose(relation(without, q0, 0, 1), relation(without, q0, 1, 0), rtol=1e-5)
    assert np.abs(relation(weights, q0, 0, 1) - relation(weights, q0, 1, 0)).max() > 1e-3
    h = remember(memory, jnp.ones(SIZES[3]), q0)
    v, u, v0, _ = map(np.asarray, memory)
    np.testing.assert_allclose(h, np.tanh(v @ sigmoid(np.asarray(q0)) + u.sum(1) + v0), rtol=1e-5)


def test_decoder_at_the_edges(weights, q0):
    assert_degenerate(lambda q: log_joint(weights, q), np.asarray(q0))
    assert_dtypes(lambda q: index_logits(weights.entities, q), np.asarray(q0), tolerance=1e-4)
    assert_jit_consistent(lambda q: log_prob(weights, q, 0, 1, 2), q0)
    assert_gradients(lambda q: log_prob(jax.tree.map(lambda x: x.astype(q.dtype), weights), q, 0, 1, 2), q0, tolerance=1e-5)
    with jax.debug_nans(False):
        assert np.isnan(jax.jit(lambda s: step_logits(weights, q0, s, 0).object)(7)).all()


# --- Memories ---


def test_one_exposure_is_enough(weights, q0, whole):
    episodes = EpisodicMemory(SIZES[2])
    assert [episodes.write(x) for x in (q0, -q0, 3 * q0)] == [0, 1, 2]
    np.testing.assert_array_equal(jax.jit(joint)(weights, episodes.recall(0)), whole)
    times = np.stack([q0, -q0, 3 * q0])
    np.testing.assert_allclose(episodes.times[...], times)
    np.testing.assert_allclose(episodes.cue(q0), softmax(times @ sigmoid(np.asarray(q0))), rtol=1e-5)
    np.testing.assert_allclose(write(jnp.asarray(times[:2]), 3 * q0), times)


def test_perception_is_affine():
    W, w0, u = numbers(5, 3), numbers(5, seed=1), numbers(3, seed=2)
    np.testing.assert_allclose(perceive(W, w0, u), W @ u + w0, rtol=1e-5)
    assert_dtypes(perceive, W, w0, u, tolerance=1e-4)
    assert_degenerate(lambda u: perceive(W, w0, u), u)
    layer = Perception(3, 5, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(layer(u), np.asarray(layer.W[...]) @ u, rtol=1e-5)


def test_modes_share_one_decoder():
    brain = TensorBrain(4, 3, 6, 5, 6, rngs=nnx.Rngs(0))
    assert brain.decoder is brain.semantic.decoder
    q = brain.semantic.q0()
    table = brain.decoder.joint(q)
    np.testing.assert_allclose(brain.semantic.answer(1, 2), table[1, :, 2] / table[1, :, 2].sum(), rtol=1e-5)
    np.testing.assert_allclose(jnp.exp(brain.decoder.log_prob(q, 1, 2, 3)), table[1, 3, 2], rtol=1e-5)
    assert brain.decoder.sample(KEY, q, 2).shape == brain.decoder.beam(q, 2)[0].shape == (2, 3)
    assert brain.decoder(q, 0, 1).predicate.shape == (3,)
    assert ConceptEmbeddings(4, 3, 2, 5, rngs=nnx.Rngs(0)).times.shape == (2, 5)


# --- Priors ---


def test_posterior_is_a_normalised_product():
    p, prior, base = (softmax(numbers(2, 2, 3, seed=i).ravel()).reshape(2, 2, 3) for i in range(3))
    expected = p * prior / base
    expected /= expected.sum()
    np.testing.assert_allclose(posterior(p, prior, base), expected, rtol=1e-5)
    np.testing.assert_allclose(jnp.exp(log_posterior(*map(np.log, (p, prior, base)))), expected, rtol=1e-5)
    np.testing.assert_allclose(posterior(p, np.full_like(p, 0.5)), p, rtol=1e-5)  # a uniform prior says nothing
    small = np.array([1e-30, 2e-30], np.float32)
    np.testing.assert_allclose(posterior(small, small), [0.2, 0.8], rtol=1e-5)
    np.testing.assert_allclose(posterior(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([1.0, 0.0])), [1, 0])
    assert_dtypes(posterior, np.abs(numbers(3)) + 1, np.abs(numbers(3, seed=1)) + 1, tolerance=1e-4, jit=False)
    assert_degenerate(posterior, np.abs(p), np.abs(prior), jit=False)


def test_trivial_priors():
    triples = np.array([[0, 1, 2], [0, 1, 1], [2, 0, 1]])
    marginal = predicate_marginal(triples, 3, 2, smoothing=1)
    np.testing.assert_allclose(marginal, np.broadcast_to(np.array([2, 3]) / 5 / 9, (3, 3, 2)))
    table = lookup_table(triples, 3, 2, smoothing=0.5)
    np.testing.assert_allclose(table.sum(), 1)
    np.testing.assert_allclose([table[0, 2, 1], table[2, 1, 0], table[1, 2, 0]], np.array([1.5, 1.5, 0.5]) / 12)


# --- Consolidation ---


def test_mixture_and_replay(weights):
    times = jnp.asarray(numbers(3, SIZES[2], seed=9))
    each = np.stack([jax.jit(joint)(weights, a) for a in times])
    np.testing.assert_allclose(mixture(weights, times), each.mean(0), rtol=1e-5)
    pi = np.array([0.5, 0.5, 0.0], np.float32)
    np.testing.assert_allclose(mixture(weights, times, pi), each[:2].mean(0), rtol=1e-5)
    triples = jax.jit(replay, static_argnums=3)(weights, jax.random.key(1), times, 4000)
    assert np.abs(replay_counts(triples, *SIZES[:2]) - each.mean(0)).max() < 0.03


def test_divergence_and_marginals():
    p, q = (softmax(numbers(12, seed=i)).reshape(2, 2, 3) for i in range(2))
    np.testing.assert_allclose(divergence(p, q), (p * np.log(p / q)).sum(), rtol=1e-5)
    independent = np.einsum("a,b,c->abc", [0.2, 0.8], [0.5, 0.5], [0.1, 0.3, 0.6])
    np.testing.assert_allclose(product_of_marginals(independent), independent, rtol=1e-5)
    found = product_of_marginals(p)
    np.testing.assert_allclose(found[1, 0, 2], p[1].sum() * p[:, 0].sum() * p[..., 2].sum(), rtol=1e-5)
    assert_degenerate(product_of_marginals, p)
    assert_dtypes(marginalise_time, numbers(4, 3))


def test_replay_trains_everything_or_only_abar():
    brain = TensorBrain(4, 3, 6, 5, 6, rngs=nnx.Rngs(0))
    shares = replay_counts(np.array([[0, 1, 2], [0, 1, 2]]), 4, 3)
    loss = jax.jit(lambda state, alone: dream(nnx.merge(graph, state), (shares, alone), KEY))
    graph, state = nnx.split(brain)
    np.testing.assert_allclose(loss(state, False), -brain.decoder.log_prob(brain.semantic.q0(), 0, 1, 2), rtol=1e-5)
    for alone in (False, True):
        slopes = jax.grad(loss)(state, alone)
        assert np.any(slopes["semantic"]["abar"][...])
        assert np.any(slopes["semantic"]["decoder"]["concepts"]["entities"][...]) != alone


# --- Tensor models ---


@pytest.mark.parametrize("kind", KINDS)
def test_scores_by_definition(kind):
    model = KGModel(kind, 5, 3, 4, scale=1.0, rngs=nnx.Rngs(0))
    a, p, m, c = (np.asarray(x[...], float) for x in (model.entities, model.relations, model.matrices, model.core))
    z = lambda x: x[:2] + 1j * x[2:]  # noqa: E731
    definition = {
        "rescal": lambda s, r, o: a[s] @ m[r] @ a[o],
        "tucker": lambda s, r, o: np.einsum("abc,a,b,c", c, a[s], p[r], a[o]),
        "distmult": lambda s, r, o: (a[s] * p[r] * a[o]).sum(),
        "complex": lambda s, r, o: (z(a[s]) * z(p[r]) * z(a[o]).conj()).sum().real,
        "transe": lambda s, r, o: -np.abs(a[s] + p[r] - a[o]).sum(),
    }[kind]
    s, r = np.array([0, 4, 2]), np.array([1, 2, 0])
    expected = [[definition(i, j, o) for o in range(5)] for i, j in zip(s, r, strict=True)]
    np.testing.assert_allclose(model.object_scores(s, r), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.score(s, r, np.array([1, 3, 4])), np.array(expected)[[0, 1, 2], [1, 3, 4]], rtol=1e-4)


def test_several_kinds_in_one_model():
    both = KGModel(("distmult", "complex"), 5, 3, 4, scale=1.0, rngs=nnx.Rngs(0))
    s, p, o = np.array([0, 1]), np.array([2, 0]), np.array([3, 4])
    a, r = both.entities[...], both.relations[...]
    scores = jax.jit(lambda kind: both.score(s, p, o, kind))
    np.testing.assert_allclose(scores(0), distmult_score(a[s], r[p], a[o]), rtol=1e-5)
    np.testing.assert_allclose(scores(1), complex_score(a[s], r[p], a[o]), rtol=1e-5)
    np.testing.assert_allclose(both.object_scores(s, p, 1)[jnp.arange(2), o], scores(1), rtol=1e-5)
    loss = one_of_all_objects(both, (jnp.stack([s, p, o], axis=1), 1), KEY)
    expected = -jax.nn.log_softmax(both.object_scores(s, p, 1))[jnp.arange(2), o].mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_scores_at_the_edges():
    rows = [numbers(3, 4, seed=i) for i in range(4)]
    for score, count in ((distmult_score, 3), (complex_score, 3), (transe_score, 3), (episodic_score, 4)):
        assert_dtypes(score, *rows[:count], tolerance=1e-4)
    assert_degenerate(complex_score, *rows[:3])
    assert_dtypes(rescal_score, rows[0], numbers(3, 4, 4), rows[1], tolerance=1e-4)


def test_ties_share_their_rank_and_the_target_stays():
    scores, known = jnp.zeros((1, 5)), jnp.array([[True, True, False, False, False]])
    found = judge(scores, jnp.array([1]), known)
    np.testing.assert_allclose([found["MRR"], found["Hits@1"], found["Hits@3"]], [1 / 2.5, 0, 1])


def test_link_prediction_learns_a_made_graph():
    graph = made_graph(6, 2, 20, rank=2).graph
    config = LinkPrediction(r=4, epochs=20, batch_size=16, learning_rate=0.05)
    found = compare(graph, ("distmult", "complex"), 4, config, jnp.stack([KEY]))
    assert set(found) == {"distmult", "complex", "frequency"}
    assert found["complex"]["MRR"][0] > 0.3
    counts = frequencies(graph)
    assert counts[:2].sum() == counts[2:].sum() == len(graph.train)
    assert counts[0, 3] == ((graph.train[:, 1] == 0) & (graph.train[:, 2] == 3)).sum()


# --- Worlds ---


def test_looks_of_triples():
    world = perceptual_world(KEY, 6, 4, 3)
    looks = world.appearance(np.array([[2, 3, 5]]))
    np.testing.assert_array_equal(looks[0], np.concatenate([world.entities[2], world.entities[5], world.predicates[3]]))
    alike = perceptual_world(KEY, 6, 4, 50, classes=2, within=0.1).entities
    assert np.corrcoef(alike)[0, 2] > 0.9 > abs(np.corrcoef(alike)[0, 1])


def test_graphs(quire_data, monkeypatch, tmp_path):
    source = open_graph("nations")
    assert source.value.graph.num_entities == 14
    assert "photographs" in source.stand_in_for
    made = made_graph().graph
    assert (made.num_entities, made.num_relations) == (14, 55)
    assert np.bincount(made.all[:, 1]).tolist() == sorted(np.bincount(made.all[:, 1]))
    assert (np.bincount(made.all[:, 1]).min(), np.bincount(made.all[:, 1]).max()) == (4, 120)
    assert len(np.unique(made.all, axis=0)) == len(made.all)
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    stand_in = open_graph("nations")
    assert stand_in.name.startswith("made graph")
    assert stand_in.stand_in_for.startswith("nations")


def test_seeing_with_a_prior():
    """Against the posterior of every scene by itself."""
    brain = TensorBrain(3, 2, 6, 4, 4, rngs=nnx.Rngs(0))
    graph, state = nnx.split(brain)
    u, truth = numbers(2, 5, 6), np.random.default_rng(0).integers(0, 2, (2, 5, 3))
    prior = np.log(softmax(numbers(18))).reshape(3, 3, 2)
    nll, accuracy = see(graph, jax.tree.map(lambda x: x[None], state), u[None], truth[None], prior[None])
    semantic = log_joint(brain.decoder.weights, brain.semantic.q0())
    one = jax.jit(lambda u, prior: log_posterior(log_joint(brain.decoder.weights, brain.perception(u)), prior))
    for i, expected_prior in enumerate((semantic, jnp.asarray(prior))):
        for k in range(2):
            found = [np.asarray(one(x, expected_prior)) for x in u[k]]
            right = [x[s, o, p] for x, (s, p, o) in zip(found, truth[k], strict=True)]
            np.testing.assert_allclose(nll[0, i, k], -np.mean(right), rtol=1e-5)
            hit = [r == x.max() for r, x in zip(right, found, strict=True)]
            np.testing.assert_allclose(accuracy[0, i, k], np.mean(hit), rtol=1e-5)


def test_switches_of_the_tiny_world():
    config = TinyWorld(3, 2, 4, 5, 6)
    model = AblatedBrain(config, rngs=nnx.Rngs(0))
    run = jax.jit(lambda units, memory, untied: model.log_joint(units, memory, untied))
    found = {name: run(*(x[i] for x in variants(config))) for i, name in enumerate(VARIANTS)}
    entities, predicates, memory = model.decoder.weights
    narrow = DecoderWeights(
        Index(entities.embeddings[:, :4], entities.bias),
        Index(predicates.embeddings[:, :4], predicates.bias),
        memory._replace(V=memory.V[:, :4], B=memory.B[:4]),
    )
    abar = model.abar[...][:4]
    np.testing.assert_allclose(found["full"], log_joint(narrow, abar), rtol=1e-5)
    without = narrow._replace(memory=narrow.memory._replace(B=0 * narrow.memory.B))
    np.testing.assert_allclose(found["no working memory"], log_joint(without, abar), rtol=1e-5)
    untied = narrow._replace(entities=narrow.entities._replace(broadcast=model.broadcast[...][:, :4]))
    np.testing.assert_allclose(found["untied"], log_joint(untied, abar), rtol=1e-5)
    wide = model.decoder.weights._replace(memory=memory._replace(B=0 * memory.B))
    np.testing.assert_allclose(found["no working memory, wide"], log_joint(wide, model.abar[...]), rtol=1e-5)
    table = table_of_predicates(config, KEY)
    expected = [relation(narrow, abar, s, o)[table[s, o]] for s, o in product(range(3), repeat=2)]
    np.testing.assert_allclose(predicate_loss(found["full"], table), -np.mean(np.log(expected)), rtol=1e-5)


# --- Errors, presets, benchmark ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w, q: log_prob(w, q[:2], 0, 0, 0), r"q0 has shape \(2,\)"),
        (lambda w, q: log_joint(w, q[None]), r"q0 has shape \(1, 5\)"),
        (lambda w, q: log_prob(w, q, 4, 0, 0), "unit runs from 4"),
        (lambda w, q: log_prob(w, q, 0, 3, 0), "p runs from 3"),
        (lambda w, q: log_prob(w, q, 0, 0, -1), "unit runs from -1"),
        (lambda w, q: answer(w, q, 0, 3), "p runs from 3"),
        (lambda w, q: relation(w, q, 0, 9), "unit runs from 9"),
        (lambda w, q: log_probs(w, q[None], np.zeros((0, 3), int)), "triples has shape"),
        (lambda w, q: log_probs(w, q[None], np.array([[4, 0, 0]])), "entities runs from 0 to 4"),
        (lambda w, q: log_probs(w, q[None], np.array([[0, 3, 0]])), "predicates runs from 3"),
        (lambda w, q: sample(w, KEY, q, 0), "n is 0"),
        (lambda w, q: beam(w, q, 0), "width is 0"),
        (lambda w, q: mixture(w, jnp.zeros((0, 5))), "number of episodes is 0"),
        (lambda w, q: mixture(w, q[None], jnp.ones(2)), "prior has shape"),
        (lambda w, q: replay(w, KEY, q[None], 0), "n is 0"),
        (lambda w, q: cue(jnp.zeros((0, 5)), q), "number of episodes is 0"),
        (lambda w, q: write(jnp.zeros((1, 4)), q), "q0 has shape"),
        (lambda w, q: EpisodicMemory(0), "r is 0"),
        (lambda w, q: EpisodicMemory(4, q[None]), "times has shape"),
        (lambda w, q: EpisodicMemory(5).recall(0), "t runs from 0"),
        (lambda w, q: SemanticDecoder(4, 3, 0, 6, rngs=nnx.Rngs(0)), "r is 0"),
        (lambda w, q: SemanticDecoder(4, 3, 5, 0, rngs=nnx.Rngs(0)), "r_h is 0"),
        (lambda w, q: SemanticDecoder(0, 3, 5, 6, rngs=nnx.Rngs(0)), "num_entities is 0"),
        (lambda w, q: WorkingMemory(0, 1, rngs=nnx.Rngs(0)), "r is 0"),
        (lambda w, q: Perception(0, 1, rngs=nnx.Rngs(0)), "r_u is 0"),
        (lambda w, q: perceive(np.ones((2, 3)), np.ones(2), np.ones(2)), "W has shape"),
        (lambda w, q: posterior(np.ones(2), np.ones(3)), "one shape"),
        (lambda w, q: posterior(np.array([1.0, 0]), np.array([0.0, 1])), "sums to 0"),
        (lambda w, q: lookup_table(np.zeros((0, 3), int), 3, 2), "triples is empty"),
        (lambda w, q: lookup_table(np.array([[0, 2, 0]]), 3, 2), "predicates runs"),
        (lambda w, q: predicate_marginal(np.array([[0, 0, 0]]), 3, 2, 0.0), "smoothing is 0.0"),
        (lambda w, q: divergence(np.ones(2), np.ones(3)), "one shape"),
        (lambda w, q: KGModel("cp", 3, 2, 4, rngs=nnx.Rngs(0)), "kinds is 'cp'"),
        (lambda w, q: KGModel("complex", 3, 2, 5, rngs=nnx.Rngs(0)), "r is 5"),
        (lambda w, q: KGModel("transe", 3, 0, 4, rngs=nnx.Rngs(0)), "num_relations is 0"),
        (lambda w, q: KGModel("transe", 3, 2, 4, rngs=nnx.Rngs(0)).score(*np.array([[0], [0], [3]])), "o runs from 3"),
        (lambda w, q: KGModel("transe", 3, 2, 4, rngs=nnx.Rngs(0)).object_scores(*np.array([[0], [2]])), "p runs from 2"),
        (lambda w, q: complex_score(np.ones(3), np.ones(3), np.ones(3)), "r is 3"),
        (lambda w, q: perceptual_world(KEY, 0, 1, 2), "num_entities is 0"),
        (lambda w, q: perceptual_world(KEY, 2, 1, 2).appearance(np.array([[0, 1, 0]])), "predicates runs"),
        (lambda w, q: made_graph(2, 1, 5), "largest is 5"),
        (lambda w, q: open_graph("friends"), "name is 'friends'"),
        (lambda w, q: LinkPrediction(r=3), "r is 3"),
        (lambda w, q: TinyWorld(r=8, wide_r=4), "wide_r is 4"),
    ],
)
def test_wrong_arguments(weights, q0, call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call(weights, q0)


def test_activation_is_bounded():
    assert_dtypes(activation, numbers(6))
    assert_degenerate(activation, numbers(6), scales=(1e-30, 1e30))


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_programs_of_every_preset_fit_together(preset):
    """Losses are traced, not run; the graphs' sizes do not matter for it."""
    scenes, tiny = preset.scenes, preset.tiny
    brain = build_brain(scenes, 14, 55, nnx.Rngs(0))
    known = np.zeros((scenes.training.batch_size, 3), np.int32)
    world = jax.tree.map(jnp.asarray, perceptual_world(KEY, 14, 55, scenes.features, scenes.classes))
    loss = perception_and_memory(scenes.training_noise)
    assert jax.eval_shape(lambda key: loss(brain, (known, world), key), KEY).shape == ()
    shares = jnp.zeros((14, 14, 55))
    assert jax.eval_shape(lambda alone: dream(brain, (shares, alone), KEY), False).shape == ()
    ablated = AblatedBrain(tiny, rngs=nnx.Rngs(0))
    switches, table = tuple(x[0] for x in variants(tiny)), table_of_predicates(tiny, KEY)
    assert jax.eval_shape(lambda *s: memorise(ablated, (s, table), KEY), *switches).shape == ()
    links = preset.links
    for kinds, r in ((("distmult", "complex"), links.r), (KINDS, links.zoo_r)):
        model = KGModel(kinds, 14, 110, r, rngs=nnx.Rngs(0))
        batch = jnp.zeros((links.batch_size, 3), int)
        assert jax.eval_shape(lambda kind, m=model, b=batch: one_of_all_objects(m, (b, kind), KEY), 0).shape == ()
    assert links.recipe(3184).steps == links.epochs * -(-3184 // links.batch_size)


def test_benchmark_compares_the_same_numbers():
    both = paper.benchmark.cases(32, KEY)
    fast, naive = (case.function(*case.args) for case in both.values())
    np.testing.assert_allclose(fast, naive, rtol=1e-4, atol=1e-4)
    assert benchmark.RANK % 2 == 0
