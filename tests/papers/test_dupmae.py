"""DupMAE: golden vectors, masks, losses, representations, fine-tuning, data, presets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.layers.bert import BertConfig
from quire.common.testing import assert_close
from quire.dupmae.bag_of_words import bow_loss, bow_targets, ot_max_pool
from quire.dupmae.decoder import key_value_stream, query_stream
from quire.dupmae.model import DupMAE, load_dupmae
from quire.dupmae.objective import Masked, dupmae_loss
from quire.dupmae.retriever import represent, score, score_on_queries_words


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("dupmae")


def golden_config(vectors) -> BertConfig:
    vocab, dim, heads, depth, ffn, longest = map(int, vectors["config"])
    types = len(vectors["param/lm.bert.embeddings.token_type_embeddings.weight"])
    return BertConfig(vocab, dim, depth, heads, ffn, longest, types)


def golden_model(vectors) -> DupMAE:
    """The authors' weights in a model of the sizes of the file, in the precision that is on."""
    state = {name: np.asarray(x, float if jax.config.jax_enable_x64 else np.float32) for name, x in vectors.case("param").items()}
    return load_dupmae(nnx.eval_shape(lambda: DupMAE(golden_config(vectors), rngs=nnx.Rngs(0))), state)


def golden_batch(vectors) -> Masked:
    x = vectors.case("in")
    names = ("encoder_input_ids", "encoder_labels", "decoder_input_ids", "decoder_labels")
    tokens, labels, decoder_tokens, decoder_labels = (jnp.asarray(x[name], jnp.int32) for name in names)
    mask, visible = (jnp.asarray(x[name] == 1) for name in ("attention_mask", "decoder_visible"))
    return Masked(tokens, mask, labels, decoder_tokens, decoder_labels, visible, jnp.asarray(x["bow_weight"], float))


PRECISIONS = pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-8), (False, 5e-4)], ids=["float64", "float32"])


@PRECISIONS
def test_golden_pretraining(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        model, batch = golden_model(vectors), golden_batch(vectors)
        weight = float(vectors["in/bow_loss_weight"])

        @nnx.jit
        def everything(model, batch):
            hidden = model.encoder(batch.tokens, batch.mask)
            logits = model.head(hidden, model.words)
            embeddings, cls = model.encoder.embeddings, hidden[:, 0]
            total, parts = dupmae_loss(model, batch, bow_weight=weight)
            chunked, _ = dupmae_loss(model, batch, bow_weight=weight, chunk=4)
            pooled = ot_max_pool(logits, batch.mask)
            return {
                "hidden_last": hidden,
                "logits": logits,
                "encoder_mlm_loss": parts["mlm"],
                "decoder_query": query_stream(embeddings, cls, batch.tokens.shape[1]),
                "decoder_kv": key_value_stream(embeddings, cls, batch.decoder_tokens),
                "decoder_hidden": model.decoder(embeddings, cls, batch.decoder_tokens, batch.visible),
                "decoder_loss": parts["decoding"],
                "ot_embedding": pooled,
                "bow_loss": bow_loss(pooled, batch.bow),
                "total": jnp.stack([total, chunked]),
                "retromae_v1_total": dupmae_loss(model, batch, bow_weight=0.0, queries="retromae")[0],
            }

        found = everything(model, batch)
        expected = vectors.case("out")
        assert found.keys() == expected.keys()
        for name, value in found.items():
            assert_close(value, np.stack(2 * [expected[name]]) if name == "total" else expected[name], tolerance)


def test_golden_bag_of_words(vectors):
    batch = golden_batch(vectors)
    found = bow_targets(batch.decoder_tokens, batch.mask.sum(1), batch.bow.shape[1])
    assert_close(found, batch.bow, 1e-6)


@PRECISIONS
def test_golden_representation(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        cls, pooled = (jnp.asarray(x, float) for x in (vectors["out/hidden_last"][:, 0], vectors["out/ot_embedding"]))
        expected, vocab = vectors.case("rep"), pooled.shape[1]
        of = represent(cls, pooled, jnp.asarray(expected["W_cls"], float), int(expected["N"]))
        assert_close(of.dense, expected["cls_reduced"], tolerance)
        np.testing.assert_array_equal(of.words.index, expected["ot_top_idx"])
        assert_close(of.words.dense(vocab), expected["ot_sparse"], tolerance)
        for found in (score(of, of), score(of, of, vocab=vocab)):
            assert_close(found, expected["score_dense_plus_sparse"], tolerance)
        assert_close(score_on_queries_words(of, of.dense, pooled), expected["score_query_support"], tolerance)
