"""What a language model may say next: temperature, nucleus and the most likely tokens."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, floating


def filter_logits(
    logits: Float[Array, "*batch vocab"], *, temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0
) -> Float[Array, "*batch vocab"]:
    """Logits divided by the temperature, then `-inf` outside of the nucleus, then `-inf` beyond the k largest.

    `jax.random.categorical` draws from the result; with `top_k=1` that is the most likely token.

    Args:
        logits: of the next token.
        temperature: in (0, 1].
        top_p: in (0, 1]; the nucleus is the fewest most likely tokens whose probabilities reach it.
        top_k: how many stay, 0 for all; tokens that tie with the last of them stay too.

    Raises:
        ValueError: if a setting is out of range.

    References:
        Holtzman et al., *The curious case of neural text degeneration*, 2020, arXiv 1904.09751, section 3.1.

    >>> kept = filter_logits(jnp.log(jnp.array([0.5, 0.3, 0.2])), top_p=0.7)
    >>> [f"{x:.2f}" for x in kept]
    ['-0.69', '-1.20', '-inf']
    >>> filter_logits(jnp.array([1.0, 3.0, 2.0]), temperature=0.5, top_k=2).tolist()
    [-inf, 6.0, 4.0]
    """
    if not (0 < temperature <= 1 and 0 < top_p <= 1):
        raise ValueError(f"temperature is {temperature} and top_p {top_p}; both must lie in (0, 1]")
    check_at_least("top_k", top_k, 0)
    check_at_least("vocabulary", logits.shape[-1] if logits.ndim else 0)
    (logits,) = floating(logits)
    logits = logits / temperature
    if top_p < 1:
        logits = jnp.where(logits >= _nucleus_threshold(logits, top_p), logits, -jnp.inf)
    if 0 < top_k < logits.shape[-1]:
        logits = jnp.where(logits >= jnp.sort(logits, axis=-1)[..., -top_k, None], logits, -jnp.inf)
    return logits


def _nucleus_threshold(logits: Array, top_p: float) -> Array:
    """The smallest logit of the nucleus: the last one before which less than `top_p` has come together."""
    ordered = jnp.sort(logits, axis=-1, descending=True)
    likely = jnp.exp(ordered - ordered[..., :1])
    share = likely / likely.sum(-1, keepdims=True)
    before = jnp.cumsum(share, axis=-1) - share
    return jnp.min(jnp.where(before < top_p, ordered, jnp.inf), axis=-1, keepdims=True)
