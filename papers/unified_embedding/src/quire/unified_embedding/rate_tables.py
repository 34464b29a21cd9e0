"""What needs no embedding: the share of clicks of every value, smoothed."""

import numpy as np
from jaxtyping import Float

from quire.common.checks import check_ids, check_positive
from quire.common.data.click_logs import ClickLog
from quire.unified_embedding.click_models import Part


def rate_logits(log: ClickLog, part: Part, feature: int, strength: float = 10.0) -> Float[np.ndarray, " n"]:
    """Log-odds of the smoothed rate of each test example's value: `(clicks + a p) / (examples + a)`, p the rate of all.

    Args:
        log: of clicks.
        part: training rows, of which the rates are taken, and test rows.
        feature: whose values count.
        strength: a, examples that the rate of all is worth.

    Raises:
        ValueError: for a feature that is not there, or a strength that is not positive.
    """
    check_ids("feature", np.asarray(feature), len(log.sizes))
    check_positive("strength", strength)
    tokens, labels = log.tokens[part.train, feature], log.label[part.train]
    clicks, examples = np.bincount(tokens, labels, log.sizes[feature]), np.bincount(tokens, minlength=log.sizes[feature])
    overall = (labels.sum() + 0.5) / (len(labels) + 1)
    rate = (clicks + strength * overall) / (examples + strength)
    return np.log(rate / (1 - rate))[log.tokens[part.test, feature]]


def two_largest(log: ClickLog) -> list[int]:
    """The features with most values, those of users and items in a log of ratings, the larger one first.

    >>> from quire.common.data.click_logs import generated_clicks
    >>> two_largest(generated_clicks((5, 2, 9), 4))
    [2, 0]
    """
    return np.argsort(-np.array(log.sizes), kind="stable")[:2].tolist()
