"""Classes that arrive task by task, a memory of those before, and batches of both (section 5)."""

from dataclasses import dataclass, field

import jax
import numpy as np
from jaxtyping import Int, Integer

from quire.common.checks import check_at_least
from quire.common.train.batches import epoch_indices


@dataclass(frozen=True)
class TaskStream:
    """A labelled set cut into tasks by its classes, in ascending order: `initial` of them first, then `increment` at a time.

    Attributes:
        labels: class of every example `[n]`; any integers.
        initial, increment: classes of the first task and of every other.

    Raises:
        ValueError: for sizes below 1, labels that are no integers, or classes that do not make whole tasks.

    >>> stream = TaskStream(np.array([0, 5, 3, 0, 9, 3]), initial=2, increment=1)
    >>> len(stream), stream.classes(0).tolist(), stream.examples(0).tolist(), stream.examples(2).tolist()
    (3, [0, 3], [0, 2, 3, 5], [4])
    """

    labels: Integer[np.ndarray, " n"]
    initial: int
    increment: int

    def __post_init__(self):
        check_at_least("initial", self.initial)
        check_at_least("increment", self.increment)
        if np.ndim(self.labels) != 1 or not np.issubdtype(self.labels.dtype, np.integer):
            raise ValueError(f"labels is {self.labels.dtype} {self.labels.shape}; it must be integers [n]")
        count = len(np.unique(self.labels))
        if count < self.initial or (count - self.initial) % self.increment:
            raise ValueError(
                f"initial is {self.initial} and increment {self.increment}; {count} classes do not make whole tasks of these"
            )

    def __len__(self) -> int:
        """Number of tasks."""
        return 1 + (len(np.unique(self.labels)) - self.initial) // self.increment

    def classes(self, task: int) -> Integer[np.ndarray, " classes"]:
        """Classes that a task brings.

        Raises:
            ValueError: for a task that there is not.
        """
        if not 0 <= task < len(self):
            raise ValueError(f"task is {task}; it must lie between 0 and {len(self) - 1}")
        end = self.initial + task * self.increment
        return np.unique(self.labels)[end - (self.increment if task else self.initial) : end]

    def examples(self, task: int) -> Int[np.ndarray, " m"]:
        """Indices of the examples of a task's classes, ascending."""
        return np.flatnonzero(np.isin(self.labels, self.classes(task)))


@dataclass(frozen=True)
class Memory:
    """Rehearsal memory: random examples of every class so far, kept for good.

    Attributes:
        per_class: examples kept of a class; all there are where it has fewer.
        examples: indices of what is kept.

    Raises:
        ValueError: for a negative number of examples.

    >>> labels = np.array([0, 0, 0, 1, 1])
    >>> memory = Memory(2).remember(np.random.default_rng(0), np.arange(5), labels)
    >>> np.bincount(labels[memory.examples]).tolist()
    [2, 2]
    """

    per_class: int
    examples: Int[np.ndarray, " kept"] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self):
        check_at_least("per_class", self.per_class, 0)

    def remember(self, draw: np.random.Generator, examples: Int[np.ndarray, " m"], labels: Integer[np.ndarray, " n"]) -> "Memory":
        """The memory with `per_class` random ones of these examples for each of their classes.

        Args:
            draw: random numbers.
            examples: indices.
            labels: of the whole set.
        """
        of = labels[examples]
        kept = [draw.permutation(examples[of == label])[: self.per_class] for label in np.unique(of)]
        return Memory(self.per_class, np.concatenate([self.examples, *kept]))


def balanced_batches(
    key: jax.Array,
    new: Int[np.ndarray, " m"],
    memory: Int[np.ndarray, " kept"],
    batch_size: int,
    steps: int,
    rehearsal: float = 0.5,
) -> Int[np.ndarray, "steps batch"]:
    """Examples of every step: a share from the memory, the rest new; each side visits all of its examples before any again.

    Args:
        key: of the shuffles.
        new, memory: indices of examples.
        batch_size, steps: sizes.
        rehearsal: share of a batch that comes from the memory, rounded to whole examples.

    Returns:
        int32 indices, those from the memory first.

    Raises:
        ValueError: for a share outside `[0, 1]`, sizes below 1, or no example on a side that has a share.

    >>> balanced_batches(jax.random.key(0), np.arange(3), np.array([7, 8]), 4, 2).tolist()
    [[7, 8, 2, 0], [7, 8, 1, 0]]
    """
    check_at_least("batch_size", batch_size)
    if not 0 <= rehearsal <= 1:
        raise ValueError(f"rehearsal is {rehearsal}; a share lies in [0, 1]")
    old, parts = round(rehearsal * batch_size), []
    for number, (name, examples, size) in enumerate((("memory", memory, old), ("new", new, batch_size - old))):
        if size and not len(examples):
            raise ValueError(f"{name} is empty; with rehearsal {rehearsal}, {size} examples of each batch come from it")
        if size:
            parts.append(examples[epoch_indices(jax.random.fold_in(key, number), len(examples), size, steps)])
    return np.concatenate(parts, axis=1).astype(np.int32)
