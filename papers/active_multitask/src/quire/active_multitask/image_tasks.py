"""Image tasks after the paper's MNIST-C: one digit against the rest under one of several corruptions."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from quire.active_multitask.multitask import Moments, moments
from quire.common.data.images import ImageData, digits, mnist_t10k, pixels
from quire.common.data.mnist import mnist
from quire.common.data.warp import affine_warp

LOADERS = {"digits": digits, "mnist-t10k": mnist_t10k, "mnist": mnist}
CORRUPTIONS = ("shot noise", "blur", "invert", "stripe", "translate", "rotate")
CLASSES = 10


def corrupt(images: Float[np.ndarray, "n h w 1"], name: str, rng: np.random.Generator) -> Float[np.ndarray, "n h w 1"]:
    """One of the corruptions, in proportion to the side of the images.

    Args:
        images: grey values in `[0, 1]`.
        name: one of `CORRUPTIONS`.
        rng: of the shot noise.

    Raises:
        ValueError: for another name.

    >>> image = np.zeros((1, 4, 4, 1), np.float32)
    >>> corrupt(image, "invert", np.random.default_rng(0)).min().item()
    1.0
    """
    from scipy.ndimage import gaussian_filter

    side = images.shape[1]
    if name == "shot noise":
        return (rng.poisson(8 * images) / 8).clip(0, 1).astype(np.float32)
    if name == "blur":
        return gaussian_filter(images, (0, side / 12, side / 12, 0))
    if name == "invert":
        return 1 - images
    if name == "stripe":  # inverted, as in MNIST-C
        middle = slice(3 * side // 8, 5 * side // 8)
        images = images.copy()
        images[:, :, middle] = 1 - images[:, :, middle]
        return images
    if name == "translate":
        return np.asarray(affine_warp(images, np.eye(2, dtype=np.float32), np.array([side / 8, -side / 8], np.float32)))
    if name == "rotate":
        c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
        return np.asarray(affine_warp(images, np.array([[c, -s], [s, c]], np.float32)))
    raise ValueError(f"name is {name!r}; it must be one of {', '.join(CORRUPTIONS)}")


@dataclass(frozen=True)
class Examples:
    """Samples of tasks, as places in the pool of images; `a + b` has those of both.

    Attributes:
        task: number of the source, or 0 for a target.
        place: row of the pool.
        y: 1 for the digit of the task, -1 for any other.
    """

    task: Int[np.ndarray, " n"]
    place: Int[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]

    def __add__(self, other: "Examples") -> "Examples":
        """All samples of both."""
        return Examples(*(np.concatenate([getattr(self, f), getattr(other, f)]) for f in ("task", "place", "y")))

    def moments(self, inputs: Float[np.ndarray, "pool features"], tasks: int) -> Moments:
        """Sums over the samples of each of so many tasks, for inputs of the images of the pool."""
        parts = [np.flatnonzero(self.task == t) for t in range(tasks)]
        return moments([inputs[self.place[p]] for p in parts], [self.y[p] for p in parts])


@dataclass(frozen=True)
class ImageTasks:
    """All images under all corruptions.

    Attributes:
        name: of the data, as tables show it.
        images: the pool of training images `[corruptions * n, h, w, 1]`, those of one corruption after the other.
        test: test images `[corruptions, m, h, w, 1]`.
        inputs: the pool as whitened numbers and a 1, `[corruptions * n, features]`.
        test_inputs: the same of the test images, `[corruptions, m, features]`.
        labels, test_labels: digits, `[n]` and `[m]`.
    """

    name: str
    images: np.ndarray
    test: np.ndarray
    inputs: np.ndarray
    test_inputs: np.ndarray
    labels: np.ndarray
    test_labels: np.ndarray

    @property
    def num_tasks(self) -> int:
        """Sources and target together: a task for each digit and corruption, digits first."""
        return CLASSES * len(CORRUPTIONS)

    def sources(self, target: int) -> np.ndarray:
        """All tasks but the target."""
        return np.delete(np.arange(self.num_tasks), target)

    def draw(self, rng: np.random.Generator, tasks: np.ndarray, counts: np.ndarray) -> Examples:
        """Samples of the given tasks, which are numbered anew from 0; an image comes again only when all of them have."""
        corruption, digit = np.divmod(np.repeat(tasks, counts), CLASSES)
        row = np.concatenate([_in_turn(rng, len(self.labels), int(n)) for n in counts])
        y = np.where(self.labels[row] == digit, 1, -1).astype(np.float32)
        return Examples(np.repeat(np.arange(len(tasks)), counts), corruption * len(self.labels) + row, y)

    def error(self, target: int, scores: Float[np.ndarray, " m"]) -> float:
        """Share of the test images of a task on the wrong side of 0."""
        return float(np.mean((scores > 0) != (self.test_labels == target % CLASSES)))

    def majority_error(self, target: int) -> float:
        """Error of always answering no."""
        return float(np.mean(self.test_labels == target % CLASSES))


def _in_turn(rng: np.random.Generator, size: int, n: int) -> np.ndarray:
    return np.concatenate([rng.permutation(size) for _ in range(-(-n // size))])[:n] if n else np.zeros(0, np.int64)


def whitening(x: Float[np.ndarray, "n d"], least: float = 1e-3) -> tuple[np.ndarray, np.ndarray]:
    """Mean and map `[d, features]` to uncorrelated numbers of variance 1; directions of almost no variance are left out.

    Args:
        x: rows.
        least: variance that counts, relative to the largest.
    """
    mean = x.mean(0)
    values, vectors = np.linalg.eigh(np.cov(x - mean, rowvar=False, bias=True))
    kept = values > least * values[-1]
    return mean, vectors[:, kept] / np.sqrt(values[kept])


def image_tasks(image_set: str, seed: int = 0) -> ImageTasks:
    """The tasks of an image set.

    Args:
        image_set: `"digits"`, `"mnist-t10k"` or `"mnist"`.
        seed: of the shot noise.

    Raises:
        DatasetUnavailable: if the images are missing and cannot be downloaded.
        ValueError: for another image set.
    """
    if image_set not in LOADERS:
        raise ValueError(f"image_set is {image_set!r}; it must be one of {', '.join(LOADERS)}")
    data: ImageData = LOADERS[image_set]()
    rng = np.random.default_rng(seed)
    train, test = (np.asarray(pixels(part.images)) for part in (data.train, data.test))
    pool = np.concatenate([corrupt(train, name, rng) for name in CORRUPTIONS])
    held = np.stack([corrupt(test, name, rng) for name in CORRUPTIONS])
    mean, white = whitening(pool.reshape(len(pool), -1))

    def inputs(x: np.ndarray) -> np.ndarray:
        flat = (x.reshape(*x.shape[:-3], -1) - mean) @ white
        return np.concatenate([flat, np.ones((*flat.shape[:-1], 1))], -1).astype(np.float32)

    name = f"{data.name}, {len(CORRUPTIONS)} generated corruptions"
    return ImageTasks(name, pool, held, inputs(pool), inputs(held), data.train.labels, data.test.labels)
