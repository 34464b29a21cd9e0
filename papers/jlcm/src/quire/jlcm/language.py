"""A causal language model: trained on a text, its blocks compressed, scored by its perplexity."""

import jax
from flax import nnx

from quire.common.data.source import Source, open_or
from quire.common.data.token_text import TokenText, token_text
from quire.common.layers.transformer import TokenLM, vit_block
from quire.common.metrics.perplexity import pair_perplexity, perplexity, window_loss
from quire.common.train.batches import HostBatches
from quire.common.train.fit import fit
from quire.jlcm.compression import Compression, compress_model
from quire.jlcm.config import LanguageSizes
from quire.jlcm.joint_learning import Learning
from quire.jlcm.networks import drawn

CHUNK = 100
"""Steps whose batches are in memory at a time."""


def open_text(sizes: LanguageSizes, key: jax.Array) -> Source[TokenText]:
    """The text of a preset: generated from the key, bytes of WikiText-2, or bytes of OpenWebText.

    Raises:
        DatasetUnavailable: if it is not on this machine and cannot be downloaded.
        ValueError: for another corpus.
    """
    return open_or(
        lambda: token_text(sizes.corpus, key, vocab_size=sizes.vocab_size, letters=sizes.letters),
        stand_in_for="the corpora of Llama-7B",
    )


def build(sizes: LanguageSizes, rngs: nnx.Rngs) -> TokenLM:
    """The model of a preset: a small GPT."""
    block = vit_block(sizes.dim, sizes.num_heads, causal=True)
    options = {"vocab_size": sizes.vocab_size, "max_length": sizes.max_length, "dim": sizes.dim, "depth": sizes.depth}
    return TokenLM(**options, block=block, rngs=rngs)


def trained_model(sizes: LanguageSizes, text: TokenText, key: jax.Array) -> TokenLM:
    """A model trained on windows of a text."""
    model, recipe, own = drawn(lambda rngs: build(sizes, rngs), key), sizes.training, jax.random.fold_in(key, 1)

    def batch(step):
        return text.windows(jax.random.fold_in(own, step), recipe.batch_size, sizes.max_length + 1)

    chunk = min(CHUNK, recipe.steps)
    tx = recipe.transformation(flat=True)
    fit(model, tx, window_loss, HostBatches(batch), None, steps=recipe.steps, key=own, chunk_steps=chunk)
    return model


def study(sizes: LanguageSizes, text: TokenText, key: jax.Array) -> dict[str, float]:
    """Perplexities of one model: as it is, and compressed by every method; and that of pairs."""
    model = trained_model(sizes, text, key)
    own = [jax.random.fold_in(key, number) for number in (2, 3, 4)]
    calib = text.windows(own[0], sizes.calibration, sizes.max_length)
    learning = Learning(steps=sizes.steps, batch_size=sizes.batch_size, rates=sizes.rates)
    ways = {
        "JLCM": Compression(sizes.bits, learning=learning),
        "k-means": Compression(sizes.bits, fit="none"),
        "RTN": Compression(sizes.bits, "uniform", fit="none"),
    }
    models = [model, *(compress_model(model, calib, how, key=own[1]).model for how in ways.values())]
    tokens = text.windows(own[2], sizes.windows, sizes.max_length + 1, test=True)
    found = dict(zip(("float32", *ways), perplexity(models, tokens).tolist(), strict=True))
    return found | {"pairs of tokens": pair_perplexity(text.train, tokens, sizes.vocab_size)}
