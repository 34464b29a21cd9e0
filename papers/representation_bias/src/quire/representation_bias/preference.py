"""Which of two features a classifier follows that was trained where they agree."""

import numpy as np
from jaxtyping import Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_at_least, check_finite


def classifier_preference(
    rep: Real[AnyArray, "n d"], easy: Int[AnyArray, " n"], hard: Int[AnyArray, " n"], *, num_train: int | None = None
) -> float:
    """Share of the examples in which the features differ that a classifier decides by the easy one.

    Logistic regression (scikit-learn's, with its usual penalty) is trained on the first `num_train` examples in which both
    features agree, which are its labels, and asked about all examples in which they differ.

    Args:
        rep: representations, one example a row.
        easy, hard: classes of the features, 0 or 1.
        num_train: examples to train on; all that agree by default.

    Returns:
        Between 0 and 1; 1/2 for a classifier without preference.

    Raises:
        ValueError: if lengths differ, a label is neither 0 nor 1, there are fewer examples that agree than asked for or none that
            differ, all training labels are equal, or numbers are not finite.

    >>> bits = np.array([[0, 0], [1, 1], [0, 1], [1, 0]])
    >>> classifier_preference(bits * np.array([5.0, 1.0]), bits[:, 0], bits[:, 1])
    1.0
    """
    from sklearn.linear_model import LogisticRegression

    if rep.ndim != 2 or not rep.shape[:1] == easy.shape == hard.shape:
        raise ValueError(f"rep has shape {rep.shape}, easy {easy.shape} and hard {hard.shape}; they need [n, d], [n] and [n]")
    check_finite("rep", rep)
    x, easy, hard = np.asarray(at_least_float32(rep)[0]), np.asarray(easy), np.asarray(hard)
    for name, labels in (("easy", easy), ("hard", hard)):
        if not np.isin(labels, (0, 1)).all():
            raise ValueError(f"{name} holds other labels than 0 and 1")
    same = np.flatnonzero(easy == hard)
    num_train = len(same) if num_train is None else check_at_least("num_train", num_train)
    train, test = same[:num_train], np.flatnonzero(easy != hard)
    if len(train) < num_train or not len(test):
        raise ValueError(
            f"the features agree in {len(same)} examples and differ in {len(test)}; {num_train} and at least 1 are needed"
        )
    if len(set(easy[train].tolist())) < 2:
        raise ValueError("all training labels are equal; a classifier needs examples of both classes")
    classifier = LogisticRegression(max_iter=1000).fit(x[train], easy[train])
    return float(np.mean(classifier.predict(x[test]) == easy[test]))
