"""Few-shot classification: classes with a handful of images each, and the tasks that are drawn from them."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.data.archives import read_npz
from quire.common.data.registry import fetch


@dataclass(frozen=True)
class FewShotData:
    """Classes for meta-training and meta-testing, disjoint.

    Attributes:
        name: as tables show it.
        train: images to meta-train on, float32 `[classes, images, height, width]`, ink = 1.
        test_groups: which classes may meet in a test task, int32 `[groups, classes]` into `test_support` and `test_query`.
        test_support, test_query: `[classes, images, height, width]`, drawn for support and query of test tasks.
    """

    name: str
    train: np.ndarray
    test_groups: np.ndarray
    test_support: np.ndarray
    test_query: np.ndarray


def with_rotations(images: Float[np.ndarray, "c n s s"]) -> Float[np.ndarray, "turned n s s"]:
    """Each class turned by 0, 90, 180 and 270 degrees: four classes of every one."""
    return np.concatenate([np.rot90(images, turns, (2, 3)) for turns in range(4)])


def omniglot_small() -> FewShotData:
    """The small background sets of Omniglot, rotated, to meta-train; the 20 held-out one-shot runs to test.

    Returns:
        968 training classes of 20 images `[28, 28]`; 400 test classes in 20 groups of 20, one support and one query image each.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    names = "images28", "character", "oneshot_support28", "oneshot_query28", "oneshot_query_label"
    arrays = read_npz(fetch("omniglot", "omniglot_small.npz"), *names)
    runs, classes = arrays["oneshot_query_label"].shape
    queries = np.empty_like(arrays["oneshot_query28"])
    queries[np.arange(runs)[:, None], arrays["oneshot_query_label"]] = arrays["oneshot_query28"]
    train = by_class(_ink(arrays["images28"]), arrays["character"])
    return FewShotData(
        f"Omniglot, {len(train)} characters x 4 rotations train / 20 one-shot runs test",
        with_rotations(train),
        np.arange(runs * classes, dtype=np.int32).reshape(runs, classes),
        _ink(arrays["oneshot_support28"]).reshape(runs * classes, 1, 28, 28),
        _ink(queries).reshape(runs * classes, 1, 28, 28),
    )


def omniglot_alphabets() -> tuple[np.ndarray, np.ndarray]:
    """The small background sets of Omniglot, each character labelled with its alphabet.

    Returns:
        Images float32 `[4840, 28, 28]`, ink = 1, and labels int32 `[4840]` of the 8 alphabets.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    arrays = read_npz(fetch("omniglot", "omniglot_small.npz"), "images28", "alphabet")
    return _ink(arrays["images28"]), arrays["alphabet"].astype(np.int32)


def digits_few_shot(train_classes: int = 5) -> FewShotData:
    """scikit-learn's digits: the first classes, rotated, to meta-train, the others to test; half of a class for queries.

    Raises:
        ValueError: if `train_classes` leaves no class on one side.
    """
    if not 0 < train_classes < 10:
        raise ValueError(f"train_classes is {train_classes}; digits has 10 classes, so it must be between 1 and 9")
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = by_class((raw.images / 16).astype(np.float32), raw.target)
    half = images.shape[1] // 2
    test = images[train_classes:]
    return FewShotData(
        f"scikit-learn digits, classes 0-{train_classes - 1} x 4 rotations train / {train_classes}-9 test",
        with_rotations(images[:train_classes]),
        np.arange(len(test), dtype=np.int32)[None],
        test[:, :half],
        test[:, half : 2 * half],
    )


def by_class(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Images `[n, ...]` as `[classes, images, ...]`, cut to the smallest class.

    Raises:
        ValueError: if there is no image, or not a label for each.
    """
    if not len(images) or len(images) != len(labels):
        raise ValueError(f"images has {len(images)} rows and labels {len(labels)}; they need equally many, at least one")
    groups = [images[labels == label] for label in np.unique(labels)]
    size = min(map(len, groups))
    return np.stack([group[:size] for group in groups])


def _ink(images: np.ndarray) -> np.ndarray:
    return 1 - images.astype(np.float32) / 255


class Tasks(NamedTuple):
    """Indices of images for a batch of tasks; label j of a task is its j-th class.

    Attributes:
        classes: int32 `[batch, ways]`.
        support: int32 `[batch, ways, shots]`, within the class.
        query: int32 `[batch, ways, queries]`, within the class, disjoint from the support where both come from one pool.
    """

    classes: Int[Array, "*batch ways"]
    support: Int[Array, "*batch ways shots"]
    query: Int[Array, "*batch ways queries"]


@partial(jax.jit, static_argnames=("batch", "images", "ways", "shots", "queries"))
def draw_tasks(
    key: jax.Array, groups: Int[Array, "g c"], *, batch: int, images: int, ways: int = 5, shots: int = 1, queries: int = 1
) -> Tasks:
    """Random N-way K-shot tasks.

    Args:
        key: for classes and images.
        groups: which classes may meet in a task.
        batch: number of tasks.
        images: per class.
        ways, shots, queries: classes of a task, support and query images of each.

    Raises:
        ValueError: if a group has too few classes or a class too few images, or a size is too small.
    """
    if min(batch, ways, shots, queries + 1) < 1:
        raise ValueError(f"batch is {batch}, ways {ways}, shots {shots}, queries {queries}; they must be at least 1, 1, 1 and 0")
    if groups.shape[1] < ways:
        raise ValueError(f"ways is {ways}; a group of {groups.shape[1]} classes has too few")
    if images < shots + queries:
        raise ValueError(f"shots + queries is {shots + queries}; classes of {images} images have too few")

    group, member, image = jax.random.split(key, 3)
    chosen = groups[jax.random.randint(group, (batch,), 0, groups.shape[0])]
    classes = jnp.take_along_axis(chosen, _subsets(member, (batch, groups.shape[1]), ways), axis=1)
    drawn = _subsets(image, (batch, ways, images), shots + queries)
    return Tasks(classes.astype(jnp.int32), drawn[..., :shots], drawn[..., shots:])


def _subsets(key: jax.Array, shape: tuple[int, ...], size: int) -> Int[Array, "*batch size"]:
    """`size` different indices below `shape[-1]`, in random order: where the largest of random numbers stand."""
    return jax.lax.top_k(jax.random.uniform(key, shape), size)[1].astype(jnp.int32)
