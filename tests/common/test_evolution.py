"""Pareto fronts, tournaments, evolution."""

import numpy as np
import pytest

from quire.common.train.evolution import Candidate, age_evolve, pareto_mask, tournament


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_pareto_front_is_what_nothing_dominates(rng):
    scores = rng.integers(0, 4, (12, 3))
    expected = [not any((o >= s).all() and (o > s).any() for o in scores) for s in scores]
    assert pareto_mask(scores).tolist() == expected
    assert scores.mean(1)[tournament(scores, "average", rng)] == scores.mean(1).max()
    assert all(expected[tournament(scores, "pareto", rng)] for _ in range(10))
    for bad in (np.zeros((0, 2)), np.array([[np.nan]])):
        with pytest.raises(ValueError, match="scores has shape"):
            pareto_mask(bad)


def test_evolution_climbs_ages_and_gives_up(rng):
    mutate = lambda x, rng: x + rng.normal()  # noqa: E731
    founders = [Candidate(float(x), np.array([-abs(x - 20)])) for x in range(4)]
    settings = {"children": 60, "tournament_size": 3, "rule": "average", "rng": rng}
    history = age_evolve(founders, mutate, lambda x: None if x < 0 else np.array([-abs(x - 20)]), **settings)
    assert len(history) == 64 and all(one.genome >= 0 for one in history)
    assert max(one.scores[0] for one in history[-4:]) > -10
    with pytest.raises(ValueError, match="rejects all mutants"):
        age_evolve(founders, mutate, lambda x: None, attempts=3, **settings)
    with pytest.raises(ValueError, match="tournament_size is 5"):
        age_evolve(founders, mutate, lambda x: None, **settings | {"tournament_size": 5})
