"""Position-specific visibility: every place of the decoder sees its own random words, and never itself.

References:
    Liu and Shao, *RetroMAE: Pre-Training Retrieval-oriented Language Models via Masked Auto-Encoder*, 2022, section 2.3.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from quire.common.checks import check_at_least
from quire.common.text.masking import whole_word_mask


def sample_decoder_visibility(
    key: jax.Array,
    word_ids: Int[Array | np.ndarray, "batch t"],
    lengths: Int[Array | np.ndarray, " batch"],
    rate: float,
    *,
    pool: int = 256,
) -> Bool[Array, "batch t t"]:
    """What each place may attend to: all tokens but a random set of whole words, and but itself.

    Rows of padding see nothing. Place 0 stands for the sentence vector; it is in no word, so that every other row sees it.

    Args:
        key: of the draws.
        word_ids: to which word each token belongs; -1 for specials and padding.
        lengths: tokens of every text, specials included.
        rate: share of the tokens that a row does not see, between 0 and 1.
        pool: most sets that are drawn for a text; rows `pool` places apart share one.

    Returns:
        `visible[b, i, j]`: whether place i sees place j.

    Raises:
        ValueError: for a pool below 1, and as `whole_word_mask`.

    >>> words, lengths = jnp.array([[-1, 0, 1, 2, -1, -1]]), jnp.array([5])
    >>> print(sample_decoder_visibility(jax.random.key(0), words, lengths, 0.4)[0].astype(int))
    [[0 1 0 0 1 0]
     [1 0 0 1 1 0]
     [1 0 0 0 1 0]
     [1 0 0 0 1 0]
     [1 0 1 0 0 0]
     [0 0 0 0 0 0]]

    Deviation: the authors draw each row's set from the pool at random; the sets are alike and independent, so their order is not.
    """
    check_at_least("pool", pool)
    places = word_ids.shape[1]
    drawn = min(places, pool)

    def one_set(key):
        return whole_word_mask(key, word_ids, lengths, rate)

    hidden = jax.vmap(one_set, out_axes=1)(jax.random.split(key, drawn))  # [batch, drawn, t]
    hidden = hidden[:, jnp.arange(places) % drawn]
    inside = jnp.arange(places)[None] < lengths[:, None]
    return ~hidden & ~jnp.eye(places, dtype=bool)[None] & inside[:, None, :] & inside[:, :, None]
