"""Sheaf recommender: golden vectors of the authors' code, models, training, protocol, claims."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.graphs.edges import bipartite, from_directed
from quire.common.graphs.propagation import lightgcn_propagate, ngcf_propagate
from quire.common.graphs.sheaf_layers import sheaf_maps, sheaf_step
from quire.common.graphs.sheaves import sheaf_laplacian
from quire.common.graphs.stalk_maps import orthogonal_map
from quire.common.metrics.ranking import hits_at_k, ranking_metrics
from quire.common.retrieval.bpr import bpr_loss, embedding_penalty
from quire.common.testing import assert_close
from quire.sheaf_recsys.convert import load_ngcf_conv, load_sheaf_rec
from quire.sheaf_recsys.models import inner_product

PRECISIONS = pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-10), (jnp.float32, 2e-5)], ids=["f64", "f32"])


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("sheaf_recsys")


def graph_of(vectors):
    return from_directed(vectors["edge_index"], int(vectors["n_users"]) + int(vectors["n_items"]))


def weights(vectors):
    return {name: x for name, x in vectors.arrays.items() if re.fullmatch(r"emb0|(lin_w|lin_b|sheaf_w)_\d+", name)}


def relation(vectors, split):
    dense = np.zeros((int(vectors["n_users"]), int(vectors["n_items"])), bool)
    dense[vectors[f"{split}_user"], vectors[f"{split}_item"]] = True
    return jnp.asarray(dense)


# --- Golden vectors ---


def test_golden_graph(vectors):
    users, items = int(vectors["n_users"]), int(vectors["n_items"])
    graph = bipartite(vectors["train_user"], vectors["train_item"], users, items)
    ours = {tuple(edge) for edge in np.asarray(graph.directed).T}
    assert ours == {tuple(edge) for edge in vectors["edge_index"].T}
    same, order = from_directed(vectors["edge_index"], users + items)
    np.testing.assert_array_equal(vectors["edge_index"][:, order], same.directed)


@PRECISIONS
def test_golden_recommender(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        graph, order = graph_of(vectors)
        for readout in ("concat", "mean"):
            model = load_sheaf_rec(weights(vectors), readout=readout, dtype=dtype)
            assert_close(model(graph), vectors[f"sheaf_out_{readout}"], tolerance)
        assert_close(model.layers(graph)[1], vectors["layer0_out"], tolerance)
        maps = sheaf_maps(graph, jnp.asarray(vectors["emb0"], dtype), jnp.asarray(vectors["sheaf_w_0"], dtype), "scalar")
        assert_close(maps, vectors["layer0_maps"][order], tolerance)
        assert_close(sheaf_laplacian(graph, maps, "scalar").todense(), vectors["layer0_laplacian"], tolerance)


@PRECISIONS
def test_golden_loss_and_gradients(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        graph, _ = graph_of(vectors)
        skeleton, params = nnx.split(load_sheaf_rec(weights(vectors), readout="concat", dtype=dtype))
        users, pos, neg = (jnp.asarray(vectors[f"batch_{name}"], jnp.int32) for name in ("users", "pos", "neg"))

        def losses(params):
            model = nnx.merge(skeleton, params)
            out, emb0 = model(graph), model.embedding[...]
            ranking = bpr_loss(inner_product(out[users], out[pos]), inner_product(out[users], out[neg]))
            return ranking, embedding_penalty(emb0[users], emb0[pos], emb0[neg])

        ranking, penalty = losses(params)
        assert_close(ranking, vectors["bpr_loss"], tolerance)
        assert_close(penalty, vectors["reg_loss"], tolerance)
        grads = jax.jit(jax.grad(lambda p: sum(losses(p))))(params)
        assert_close(grads.embedding[...], vectors["grad_emb0"], tolerance)
        assert_close(grads.convs.linear.kernel[0].T, vectors["grad_lin_w_0"], tolerance)
        assert_close(grads.convs.learner.weight[0], vectors["grad_sheaf_w_0"], tolerance)


@PRECISIONS
def test_golden_metrics(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        out = jnp.asarray(vectors["sheaf_out_concat"], dtype)
        users = int(vectors["n_users"])
        scores = out[:users] @ out[users:].T
        seen, relevant = relation(vectors, "train"), relation(vectors, "test")
        names = [re.fullmatch(r"(\w+)@(\d+)_(authors|masked)", name) for name in vectors.arrays]
        for match in filter(None, names):
            metric, k, form = match.groups()
            masking = {"authors": "zero", "masked": "exclude"}[form]
            name = "mrr_authors" if (metric, form) == ("mrr", "authors") else metric
            ours = ranking_metrics(scores, relevant, (int(k),), seen, masking=masking)
            assert_close(ours[f"{name}@{k}"], vectors[match[0]], tolerance)


@PRECISIONS
def test_golden_baselines(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        graph, _ = graph_of(vectors)
        x = jnp.asarray(vectors["emb0"], dtype)
        assert_close(lightgcn_propagate(graph, x), vectors["lightgcn_layer"], tolerance)
        assert_close(load_ngcf_conv(vectors.arrays, dtype=dtype)(graph, x), vectors["ngcf_layer"], tolerance)
        linear = (jnp.asarray(vectors[f"ngcf_{name}"], dtype) for name in ("w1", "b1", "w2", "b2"))
        assert_close(jax.nn.leaky_relu(ngcf_propagate(graph, x, *linear), 0.01), vectors["ngcf_layer"], tolerance)


@PRECISIONS
def test_golden_stalks(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        graph, order = graph_of(vectors)
        for name, kind in (("diag", "diagonal"), ("gen", "general")):
            maps = jnp.asarray(vectors[f"nsd_{name}_maps"][order], dtype)
            assert_close(sheaf_laplacian(graph, maps, kind, normalised=False).todense(), vectors[f"nsd_{name}_L"], tolerance)
            laplacian = sheaf_laplacian(graph, maps, kind)
            assert_close(laplacian.todense(), vectors[f"nsd_{name}_Lnorm"], tolerance)
        assert_close(jnp.linalg.eigvalsh(laplacian.todense()), vectors["nsd_gen_eig"], tolerance)
        d = maps.shape[-1]
        x = jnp.asarray(vectors["nsd_x"], dtype).reshape(graph.num_nodes, d, -1)
        assert_close(laplacian.energy(x), vectors["nsd_gen_energy"], tolerance)
        assert_close(sheaf_step(laplacian, x, x).reshape(vectors["nsd_gen_step"].shape), vectors["nsd_gen_step"], tolerance)
        turns = orthogonal_map(jnp.asarray(vectors["nsd_orth_params"], dtype), d)
        assert_close(turns, vectors["nsd_orth_Q_cayley"], tolerance)
        assert_close(sheaf_laplacian(graph, turns[order], "orthogonal").todense(), vectors["nsd_orth_Lnorm"], tolerance)


def test_golden_hits(vectors):
    for name in vectors.arrays:
        if match := re.fullmatch(r"hits@(\d+)", name):
            positive, negative = (jnp.asarray(vectors[f"hits_{side}"], jnp.float32) for side in ("pos", "neg"))
            assert_close(hits_at_k(positive, negative, int(match[1])), vectors[name], 1e-6)
