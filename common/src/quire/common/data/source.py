"""The data of a claim: the real set, or what stands in for it, under its own name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypedDict, TypeVar, runtime_checkable

from quire.common.data.registry import local_only
from quire.common.errors import DatasetUnavailable


@runtime_checkable
class Named(Protocol):
    """Data that say what they are."""

    @property
    def name(self) -> str: ...


AnyNamed = TypeVar("AnyNamed", bound=Named)
Data = TypeVar("Data")


class DataFields(TypedDict):
    """What a measurement says of its data."""

    data: str
    stand_in_for: str


@dataclass(frozen=True)
class Source(Generic[Data]):
    """Data as they were opened.

    Attributes:
        value: what the loader returned.
        stand_in_for: the data of the paper, or "" where this is it.
    """

    value: Data
    stand_in_for: str = ""

    @property
    def name(self: "Source[AnyNamed]") -> str:
        """The name of the data, as tables show it."""
        return self.value.name

    def fields(self: "Source[AnyNamed]", note: str = "") -> DataFields:
        """What a measurement says of these data; `note` comes behind the name."""
        return {"data": f"{self.name}; {note}" if note else self.name, "stand_in_for": self.stand_in_for}


def open_or(
    load: Callable[[], Data],
    fallback: Callable[[], Data] | None = None,
    *,
    stand_in_for: str = "",
    instead_of: str = "",
) -> Source[Data]:
    """What `load` returns, or `fallback` where its files are not on this machine.

    With a fallback nothing is downloaded; without one, `load` downloads what it needs. Damaged files are an error either way.

    Args:
        load: opens the set that a preset names.
        fallback: opens data that need no file, or None where nothing may stand in.
        stand_in_for: the data of the paper, where `load` does not open them.
        instead_of: what the fallback stands in for; `stand_in_for` by default.

    Raises:
        ValueError: if nothing says what the fallback stands in for.
        DatasetUnavailable: if the set is missing and there is no fallback.
        DatasetCorrupt: if a file is damaged.

    >>> from quire.common.data.images import digits
    >>> source = open_or(digits, stand_in_for="MNIST")
    >>> source.name, source.stand_in_for
    ('scikit-learn digits, 1437 train / 360 test', 'MNIST')
    >>> source.fields("8 seeds")["data"]
    'scikit-learn digits, 1437 train / 360 test; 8 seeds'
    """
    if fallback is None:
        return Source(load(), stand_in_for)
    if not (instead_of or stand_in_for):
        raise ValueError("stand_in_for is empty; it must name the data that the fallback stands in for")
    try:
        with local_only():
            return Source(load(), stand_in_for)
    except DatasetUnavailable:
        return Source(fallback(), instead_of or stand_in_for)
