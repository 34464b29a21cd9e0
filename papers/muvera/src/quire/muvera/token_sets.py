"""Sets of token vectors of different sizes, one after the other in one array."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class TokenSets:
    """Tokens of all sets, and how many each of them has.

    Attributes:
        tokens: `[t, d]`, set after set.
        lengths: tokens of every set `[n]`, which sum to t.

    Raises:
        ValueError: if the lengths are negative or do not sum to the tokens.

    >>> sets = TokenSets(np.eye(3), np.array([1, 2]))
    >>> len(sets), sets.owners.tolist(), sets[1].shape
    (2, [0, 1, 1], (2, 3))
    """

    tokens: Float[np.ndarray, "t d"]
    lengths: Int[np.ndarray, " n"]

    def __post_init__(self):
        if self.tokens.ndim != 2 or (self.lengths < 0).any() or self.lengths.sum() != len(self.tokens):
            raise ValueError(f"lengths sum to {self.lengths.sum()}; tokens have shape {self.tokens.shape}, one row a token")

    @staticmethod
    def of(sets: Sequence[Float[np.ndarray, "_ d"]]) -> "TokenSets":
        """From one array a set; at least one."""
        return TokenSets(np.concatenate(sets), np.array([len(one) for one in sets]))

    @staticmethod
    def grouped(tokens: Float[np.ndarray, "t d"], ids: Int[np.ndarray, " t"]) -> tuple["TokenSets", Int[np.ndarray, " n"]]:
        """From tokens in any order and the id of each one's set: the sets by increasing id, and those ids.

        Raises:
            ValueError: if there is not one id a token.
        """
        tokens, ids = np.asarray(tokens), np.asarray(ids)
        if ids.shape != tokens.shape[:1] or tokens.ndim != 2:
            raise ValueError(f"ids have shape {ids.shape} and tokens {tokens.shape}; they need [t] and [t, d]")
        names, lengths = np.unique(ids, return_counts=True)
        return TokenSets(tokens[np.argsort(ids, kind="stable")], lengths), names

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Float[np.ndarray, "m d"]:
        """Tokens of one set."""
        start = int(self.starts[index])
        return self.tokens[start : start + int(self.lengths[index])]

    @property
    def dim(self) -> int:
        return self.tokens.shape[1]

    @cached_property
    def starts(self) -> Int[np.ndarray, " n"]:
        """Where every set begins."""
        return np.cumsum(self.lengths) - self.lengths

    @cached_property
    def owners(self) -> Int[np.ndarray, " t"]:
        """Set of every token, int32."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.lengths)

    def padded(
        self, index: Int[np.ndarray, "*batch"] | None = None
    ) -> tuple[Float[np.ndarray, "*batch m d"], Bool[np.ndarray, "*batch m"]]:
        """Sets side by side, each padded to the longest of all with copies of other tokens; and which tokens are its own.

        Args:
            index: of the sets; all by default.
        """
        index = np.arange(len(self)) if index is None else np.asarray(index)
        place = np.arange(int(self.lengths.max(initial=0)))
        mask = place < self.lengths[index][..., None]
        return self.tokens[np.minimum(self.starts[index][..., None] + place, max(len(self.tokens) - 1, 0))], mask

    def select(self, index: Int[np.ndarray, " m"]) -> "TokenSets":
        """Some of the sets, in the given order."""
        return TokenSets.of([self[i] for i in index])
