"""Implicit feedback for recommenders: MovieLens, Facebook Books, and a generated set that needs no file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quire.common.data.archives import read_member, read_text
from quire.common.data.registry import fetch
from quire.common.data.splits import Fractions, random_parts
from quire.common.errors import DatasetCorrupt

MIN_RATING = 3
"""Ratings from here on count as an interaction."""


@dataclass(frozen=True)
class Feedback:
    """Interactions of users with items.

    Attributes:
        name: as tables show it.
        user, item: int32 `[n]`, counted from 0 without gaps; every pair once.
    """

    name: str
    user: np.ndarray
    item: np.ndarray


@dataclass(frozen=True)
class FeedbackSplit:
    """Interactions to train on, to choose on and to test on; every user and item of the last two occurs in training.

    Attributes:
        name: of the set, with its sizes.
        num_users, num_items: after relabelling by the training part.
        train, validation, test: int32 `[2, n]`, users and items.
    """

    name: str
    num_users: int
    num_items: int
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def movielens_100k(path: str | Path | None = None) -> Feedback:
    """MovieLens 100K (Harper and Konstan 2015), ratings of at least 3.

    Args:
        path: a `u.data`, plain or compressed with gzip, or the zip of the publisher; by default that of the registry.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    return _rated("MovieLens 100K", path or fetch("movielens-100k", "u.data.gz", "ml-100k.zip"), "u.data")


def movielens_1m(path: str | Path | None = None) -> Feedback:
    """MovieLens 1M (Harper and Konstan 2015), ratings of at least 3.

    Args:
        path: a `ratings.dat`, plain or compressed with gzip, or the zip of the publisher; by default that of the registry.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    return _rated("MovieLens 1M", path or fetch("movielens-1m", "ml-1m.zip"), "ratings.dat", "::")


def facebook_books(path: str | Path | None = None) -> Feedback:
    """Facebook Books, as the authors of Sheaf4Rec use it.

    Args:
        path: a `dataset_facebook.tsv`; by default that of the registry.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    path = Path(path or fetch("facebook-books", "dataset_facebook.tsv"))
    return feedback("Facebook Books", *read_columns(read_text(path), 2, source=path.name))


def _rated(name: str, path: str | Path, member: str, separator: str | None = None) -> Feedback:
    path = Path(path)
    text = read_member(path, member).decode("latin-1") if path.suffix == ".zip" else read_text(path)
    user, item, rating = read_columns(text, 3, separator=separator, source=path.name)
    kept = rating >= MIN_RATING
    if not kept.any():
        raise DatasetCorrupt(f"{path.name} holds no rating of at least {MIN_RATING}")
    return feedback(name, user[kept], item[kept])


def read_columns(text: str, count: int, *, separator: str | None = None, source: str = "the file") -> np.ndarray:
    """The first columns of a table of whole numbers, int64 `[count, rows]`.

    Args:
        text: a row a line.
        count: of columns to keep.
        separator: of columns; white space by default.
        source: what an error message calls it.

    Raises:
        DatasetCorrupt: if there is no row, or one is shorter or holds something else.

    >>> read_columns("1::10::5::978\\n7::10::3::978\\n", 3, separator="::")
    array([[ 1,  7],
           [10, 10],
           [ 5,  3]])
    """
    rows = [line.split(separator)[:count] for line in text.splitlines() if line.strip()]
    try:
        table = np.array(rows, np.int64).reshape(-1, count).T
    except (ValueError, OverflowError) as error:
        raise DatasetCorrupt(f"{source} is no table of {count} columns or more of whole numbers ({error})") from None
    if not table.size:
        raise DatasetCorrupt(f"{source} has no row")
    return table


def feedback(name: str, user: np.ndarray, item: np.ndarray) -> Feedback:
    """Interactions with users and items counted from 0 without gaps, in the order of their labels; repeated pairs kept once.

    Args:
        name: of the set.
        user, item: labels `[n]`, integers or strings.

    Raises:
        ValueError: if there is none, the lengths differ, or a label is something else.
    """
    user, item = np.asarray(user), np.asarray(item)
    if user.ndim != 1 or user.shape != item.shape or not user.size:
        raise ValueError(f"user has shape {user.shape} and item {item.shape}; they need [n], as many of each, at least one")
    if not {user.dtype.kind, item.dtype.kind} <= set("iuU"):
        raise ValueError(f"user is {user.dtype} and item {item.dtype}; labels must be integers or strings")
    labels = [np.unique(side, return_inverse=True)[1].reshape(-1) for side in (user, item)]
    return Feedback(name, *np.unique(np.stack(labels), axis=1).astype(np.int32))


def generated_feedback(
    num_users: int = 400, num_items: int = 500, *, groups: int = 8, density: float = 0.06, noise: float = 1.0, seed: int = 0
) -> Feedback:
    """Interactions drawn from tastes and popularity.

    Users and items belong to one of `groups` directions of taste, with a scatter. The score of a pair is the inner product of
    their tastes plus the logarithm of a Zipf popularity of the item plus Gumbel noise; the pairs with the highest scores
    interact. A ranking by popularity alone does well and factors do better, as on real sets.

    Args:
        num_users, num_items: sizes; users or items without an interaction disappear.
        groups: directions of taste.
        density: fraction of the pairs that interact.
        noise: scale of the noise.
        seed: of the generator.

    Raises:
        ValueError: for a density outside of (0, 1), sizes below 2, no group or negative noise.
    """
    if not 0 < density < 1 or min(num_users, num_items) < 2:
        raise ValueError(f"density is {density} for {num_users} users and {num_items} items; give (0, 1) and at least 2")
    if groups < 1 or not noise >= 0:
        raise ValueError(f"groups is {groups} and noise {noise}; they must be at least 1 and 0")
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((groups, groups))
    tastes = [centres[rng.integers(0, groups, n)] + 0.7 * rng.standard_normal((n, groups)) for n in (num_users, num_items)]
    popularity = -np.log(rng.permutation(num_items) + 1.0)
    activity = 0.7 * rng.standard_normal((num_users, 1))
    scores = tastes[0] @ tastes[1].T / groups**0.5 + popularity + activity + noise * rng.gumbel(size=(num_users, num_items))
    user, item = np.nonzero(scores >= np.quantile(scores, 1 - density))
    return feedback(f"generated feedback, {groups} tastes with Zipf popularity", user, item)


def split_feedback(data: Feedback, *, fractions: Fractions = (0.8, 0.1, 0.1), seed: int = 42) -> FeedbackSplit:
    """Random split of the interactions; what names a user or an item that is not in the training part is dropped.

    Args:
        data: interactions.
        fractions: of training, validation and test.
        seed: of the shuffle.

    Raises:
        ValueError: if the fractions do not sum to 1 or a part ends up empty.
    """
    chosen = random_parts(len(data.user), fractions, np.random.default_rng(seed))
    pairs = np.stack([data.user, data.item])
    train, validation, test = (pairs[:, np.sort(part)] for part in chosen)
    known = [np.unique(side) for side in train]

    def relabelled(part: np.ndarray) -> np.ndarray:
        kept = np.isin(part[0], known[0]) & np.isin(part[1], known[1])
        return np.stack([np.searchsorted(k, side[kept]) for k, side in zip(known, part, strict=True)]).astype(np.int32)

    parts = [relabelled(part) for part in (train, validation, test)]
    if not all(part.size for part in parts):
        raise ValueError(f"{len(data.user)} interactions leave an empty part with fractions {fractions}; give more")
    sizes = f"{len(known[0])} users x {len(known[1])} items, {parts[0].shape[1]} train / {parts[2].shape[1]} test"
    return FeedbackSplit(f"{data.name}, {sizes}", len(known[0]), len(known[1]), *parts)
