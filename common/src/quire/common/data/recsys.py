"""Implicit feedback for recommenders: MovieLens, Facebook Books, and a generated set that needs no file."""

import io
from dataclasses import dataclass

import numpy as np

from quire.common.data.registry import REGISTRY, Dataset, DatasetCorrupt, File, fetch, gunzip, local_path, read_archive

_GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
_GROUPLENS_TERMS = "GroupLens terms: research use, cite the set; may not be redistributed"
MOVIELENS_100K = REGISTRY.add(
    Dataset(
        "movielens-100k",
        "100000 ratings 1..5 of 1682 films by 943 people, 1998",
        _GROUPLENS_TERMS,
        "https://grouplens.org/datasets/movielens/100k/",
        (
            File("u.data.gz", ("d5cd19fba4562fe2867bf2964d99d97ec55bce45b150df3763dfa8668cf22f4f",), 827_905),
            File(
                "ml-100k.zip",
                ("50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",),
                4_924_029,
                _GROUPLENS + "ml-100k.zip",
            ),
        ),
    )
)
MOVIELENS_1M = REGISTRY.add(
    Dataset(
        "movielens-1m",
        "1000209 ratings 1..5 of 3706 films by 6040 people, 2003",
        _GROUPLENS_TERMS,
        "https://grouplens.org/datasets/movielens/1m/",
        (
            File(
                "ml-1m.zip",
                ("a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",),
                5_917_549,
                _GROUPLENS + "ml-1m.zip",
            ),
        ),
    )
)
FACEBOOK_BOOKS = REGISTRY.add(
    Dataset(
        "facebook-books",
        "17626 likes of 2726 books by 1398 people",
        "no licence stated: research only, not redistributed here",
        "https://github.com/antoniopurificato/Sheaf4Rec (data/dataset_facebook.tsv)",
        (File("dataset_facebook.tsv", ("9c4aee95c6d5c64762bb5e734ba309b7f7a53c6e6c5bca17c6ab1dd21afd6834",), 215_726),),
        hint="copy data/dataset_facebook.tsv of that repository",
    )
)

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


def movielens_100k() -> Feedback:
    """MovieLens 100K (Harper and Konstan 2015), ratings of at least 3.

    Raises:
        DatasetUnavailable, DatasetCorrupt: see `quire.common.data.fetch`.
    """
    packed = MOVIELENS_100K.files[0]
    if local_path(MOVIELENS_100K, packed.name):
        content = gunzip(fetch(MOVIELENS_100K, packed.name))
    else:
        content = _member(fetch(MOVIELENS_100K, "ml-100k.zip"), "u.data")
    return _rated("MovieLens 100K", content.decode().replace("\t", " "))


def movielens_1m() -> Feedback:
    """MovieLens 1M (Harper and Konstan 2015), ratings of at least 3.

    Raises:
        DatasetUnavailable, DatasetCorrupt: see `quire.common.data.fetch`.
    """
    content = _member(fetch(MOVIELENS_1M, "ml-1m.zip"), "ratings.dat")
    return _rated("MovieLens 1M", content.decode().replace("::", " "))


def facebook_books() -> Feedback:
    """Facebook Books, as the authors of Sheaf4Rec use it.

    Raises:
        DatasetUnavailable, DatasetCorrupt: see `quire.common.data.fetch`.
    """
    rows = np.loadtxt(fetch(FACEBOOK_BOOKS, "dataset_facebook.tsv"), usecols=(0, 1), dtype=np.int64)
    return feedback("Facebook Books", *rows.T)


def _member(path, name: str) -> bytes:
    members = {member.rsplit("/", 1)[-1]: content for member, content in read_archive(path).items()}
    if name not in members:
        raise DatasetCorrupt(f"{path} holds no {name}; delete it and fetch it again")
    return members[name]


def _rated(name: str, rows: str) -> Feedback:
    user, item, rating = np.loadtxt(io.StringIO(rows), usecols=(0, 1, 2), dtype=np.int64).T
    kept = rating >= MIN_RATING
    return feedback(name, user[kept], item[kept])


def feedback(name: str, user: np.ndarray, item: np.ndarray) -> Feedback:
    """Interactions with users and items counted from 0 without gaps, in the order of their labels; repeated pairs kept once."""
    pairs = np.unique(np.stack([user, item]), axis=1)
    labels = [np.unique(side, return_inverse=True)[1].astype(np.int32).reshape(-1) for side in pairs]
    return Feedback(name, *labels)


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
        ValueError: for a density outside of (0, 1) or sizes below 2.
    """
    if not 0 < density < 1 or min(num_users, num_items) < 2:
        raise ValueError(f"density is {density} for {num_users} users and {num_items} items; give (0, 1) and at least 2")
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((groups, groups))
    tastes = [centres[rng.integers(0, groups, n)] + 0.7 * rng.standard_normal((n, groups)) for n in (num_users, num_items)]
    popularity = -np.log(rng.permutation(num_items) + 1.0)
    activity = 0.7 * rng.standard_normal((num_users, 1))
    scores = tastes[0] @ tastes[1].T / groups**0.5 + popularity + activity + noise * rng.gumbel(size=(num_users, num_items))
    user, item = np.nonzero(scores >= np.quantile(scores, 1 - density))
    return feedback(f"generated feedback, {groups} tastes with Zipf popularity", user, item)


def split_feedback(data: Feedback, *, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 42) -> FeedbackSplit:
    """Random split of the interactions; what names a user or an item that is not in the training part is dropped.

    Args:
        data: interactions.
        fractions: of training, validation and test.
        seed: of the shuffle.

    Raises:
        ValueError: if the fractions do not sum to 1 or a part ends up empty.
    """
    if abs(sum(fractions) - 1) > 1e-9 or min(fractions) <= 0:
        raise ValueError(f"fractions is {fractions}; it must be three positive numbers with sum 1")
    order = np.random.default_rng(seed).permutation(len(data.user))
    ends = np.rint(np.cumsum(fractions) * len(order)).astype(int)
    pairs = np.stack([data.user, data.item])
    train, validation, test = (pairs[:, np.sort(part)] for part in np.split(order, ends[:2]))
    known = [np.unique(side) for side in train]

    def relabelled(part: np.ndarray) -> np.ndarray:
        kept = np.isin(part[0], known[0]) & np.isin(part[1], known[1])
        return np.stack([np.searchsorted(k, side[kept]) for k, side in zip(known, part, strict=True)]).astype(np.int32)

    parts = [relabelled(part) for part in (train, validation, test)]
    if not all(part.size for part in parts):
        raise ValueError(f"{len(order)} interactions leave an empty part with fractions {fractions}; give more")
    sizes = f"{len(known[0])} users x {len(known[1])} items, {parts[0].shape[1]} train / {parts[2].shape[1]} test"
    return FeedbackSplit(f"{data.name}, {sizes}", len(known[0]), len(known[1]), *parts)
