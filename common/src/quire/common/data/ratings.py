"""MovieLens with everything that is known of a rating: the person, the film, the hour. Ratings of at least 4 count as a click."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from quire.common.data.archives import read_member, read_text
from quire.common.data.click_logs import ClickLog, click_log
from quire.common.data.recsys import read_columns
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt

LIKED = 4
"""Ratings from here on are the positive class."""


class _Release(NamedTuple):
    """How a release writes its tables: the separator, the columns of user, gender, age, occupation and zip code."""

    separator: str
    gender: int
    age: int
    occupation: int
    zip_code: int


_100K, _1M = _Release("|", 2, 1, 3, 4), _Release("::", 1, 2, 3, 4)


def movielens_100k_clicks() -> ClickLog:
    """MovieLens 100K as eight features: user, item, age by fives, gender, occupation, zip code, set of genres, hour of the day.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    texts = [read_text(fetch("movielens-100k", name), encoding="latin-1") for name in ("u.data.gz", "u.user", "u.item.gz")]
    genres = {row[0]: "|".join(row[5:]) for row in _rows(texts[2], "|", 6, "u.item.gz")}
    return _clicks("MovieLens 100K", read_columns(texts[0], 4, source="u.data.gz"), texts[1], genres, _100K)


def movielens_1m_clicks(path: str | Path | None = None) -> ClickLog:
    """MovieLens 1M, the same features; the release gives ages in seven groups.

    Args:
        path: the zip of the publisher; by default that of the registry.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    path = Path(path or fetch("movielens-1m", "ml-1m.zip"))
    texts = [read_member(path, name).decode("latin-1") for name in ("ratings.dat", "users.dat", "movies.dat")]
    genres = {row[0]: row[2] for row in _rows(texts[2], "::", 3, "movies.dat")}
    ratings = read_columns(texts[0], 4, separator="::", source="ratings.dat")
    return _clicks("MovieLens 1M", ratings, texts[1], genres, _1M)


def _clicks(name: str, ratings: np.ndarray, people: str, genres: dict[str, str], release: _Release) -> ClickLog:
    user, item, rating, seconds = ratings
    known = {row[0]: row for row in _rows(people, release.separator, 5, "the table of people")}
    if missing := (set(map(str, np.unique(user))) - set(known)) | (set(map(str, np.unique(item))) - set(genres)):
        raise DatasetCorrupt(f"{name} rates with users or items that its tables lack: {', '.join(sorted(missing)[:3])}")

    people_ids, person = np.unique(user, return_inverse=True)
    film_ids, film = np.unique(item, return_inverse=True)

    def of_person(column: int) -> np.ndarray:
        return _codes([known[str(u)][column] for u in people_ids])[person]

    try:
        age = np.array([int(known[str(u)][release.age]) // 5 for u in people_ids])[person]
    except ValueError as error:
        raise DatasetCorrupt(f"{name} has an age that is no number ({error})") from None
    columns = {
        "user": user,
        "item": item,
        "age": age,
        "gender": of_person(release.gender),
        "occupation": of_person(release.occupation),
        "zip code": of_person(release.zip_code),
        "genres": _codes([genres[str(i)] for i in film_ids])[film],
        "hour": seconds // 3600 % 24,
    }
    log = click_log(name, columns, rating >= LIKED)
    title = f"{name}, {len(log.label)} ratings, {len(columns)} features with {sum(log.sizes)} values"
    return ClickLog(title, *(getattr(log, part) for part in ("features", "sizes", "tokens", "label")))


def _codes(words: list[str]) -> np.ndarray:
    return np.unique(words, return_inverse=True)[1].reshape(-1)


def _rows(text: str, separator: str, least: int, source: str) -> list[list[str]]:
    rows = [line.split(separator) for line in text.splitlines() if line.strip()]
    if not rows or min(map(len, rows)) < least:
        raise DatasetCorrupt(f"{source} has no row, or one with fewer than {least} columns")
    return rows
