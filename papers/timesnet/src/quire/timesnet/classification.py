"""Classification (section 4.4): sets of the UEA archive, padded to one length."""

from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from quire.common.data.cases import Cases, generated_cases, uea
from quire.common.data.source import Source, open_or
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.seeds import fold_keys, stack
from quire.timesnet.comparison import Comparison
from quire.timesnet.config import Classification
from quire.timesnet.forecasting import config_for
from quire.timesnet.models import Classifier
from quire.timesnet.training import Runs, predict, train


def open_cases(name: str, *, fallback: bool = False) -> Source[Cases]:
    """A set of the archive, or with `fallback` generated cases where it is not on this machine."""
    return open_or(lambda: uea(name), generated_cases if fallback else None, instead_of=f"UEA {name}")


def class_loss(model: nnx.Module, batch: tuple[Array, Array, Array], key: jax.Array) -> Array:
    """Cross-entropy."""
    x, mask, labels = batch
    return optax.softmax_cross_entropy_with_integer_labels(model(x, mask, key), labels).mean()


HELD_OUT = 5
"""Every so many training cases one is held out where epochs are to choose among."""


def train_classifier(cases: Cases, task: Classification, keys: jax.Array) -> Runs:
    """One classifier per key. Where there are epochs, cases held out of the training part choose among them."""
    (x, mask), _ = cases.padded()
    config = config_for(task.model, seq_len=x.shape[1], channels=x.shape[2], num_classes=len(cases.classes))
    training, whole = task.training, (x, mask, cases.train_labels)
    held = np.arange(len(x)) % HELD_OUT == 0 if training.epochs > 1 else np.zeros(len(x), bool)
    learned, (held_x, held_mask, held_labels) = ([a[rows] for a in whole] for rows in (~held, held))

    def validate(graph, epochs, run):
        guess = predict((graph, epochs), (held_x, held_mask), task.batch).argmax(-1)
        return 1 - np.mean(guess == held_labels, axis=1)

    arrays = tuple(np.broadcast_to(a, (len(keys), *a.shape)) for a in learned)
    sizes = len(learned[0]), training.batch_size, training.steps
    order = stack([epoch_indices(key, *sizes) for key in fold_keys(keys, 1)])
    return train(lambda rngs: Classifier(config, rngs=rngs), class_loss, take_batch, (arrays, order), training, keys, validate)


def compare_classifiers(task: Classification, keys: jax.Array, *, fallback: bool = False) -> dict[str, Any]:
    """Test accuracies, averaged over sets.

    Returns:
        `accuracy` by method `[seeds]`; `logits` `[seeds, cases, classes]` and `labels` `[seeds, cases]` of the first set; `data`
        and `stand_in_for`.
    """
    from sklearn.linear_model import LogisticRegression  # a second to import

    found = Comparison()
    for name in task.sets:
        source = open_cases(name, fallback=fallback)
        cases = source.value
        (x, _), test = cases.padded()
        logits = predict(train_classifier(cases, task, keys), test, task.batch)
        linear = LogisticRegression(max_iter=1000).fit(x.reshape(len(x), -1), cases.train_labels)
        most = np.bincount(cases.train_labels).argmax()
        guesses = {
            "TimesNet": logits.argmax(-1),
            "linear classifier": linear.predict(test[0].reshape(len(test[0]), -1)),
            "most frequent class": np.full(len(cases.test), most),
        }
        right = {m: np.broadcast_to(np.mean(g == cases.test_labels, axis=-1), len(keys)) for m, g in guesses.items()}
        labels = np.broadcast_to(cases.test_labels, (len(keys), len(cases.test)))
        setting = f"{cases.name}, {len(cases.train)} + {len(cases.test)} cases"
        found.add(source, setting, {"accuracy": right}, {"logits": logits, "labels": labels})
    return found.result()
