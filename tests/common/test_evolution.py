"""Pareto fronts, tournaments, evolution."""

import numpy as np
import pytest

from quire.common.train.evolution import Candidate, ScoreLog, age_evolve, pareto_mask, tournament


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


def test_tests_end_evolution(rng):
    calls = []
    founders = [Candidate(0.0, np.array([0.0]))] * 2
    settings = {"children": 50, "tournament_size": 2, "rule": "pareto", "rng": rng}
    history = age_evolve(founders, lambda x, rng: x + 1, lambda x: calls.append(x) or np.array([x]), tests=7, **settings)
    assert len(calls) == 7 and len(history) == 9
    assert age_evolve(founders, lambda x, rng: x, lambda x: None, tests=5, **settings) == founders
    with pytest.raises(ValueError, match="tests -1"):
        age_evolve(founders, lambda x, rng: x, lambda x: None, tests=-1, **settings)


def test_a_killed_search_goes_on_from_its_log(tmp_path):
    path = tmp_path / "log.jsonl"

    def search(score):
        log = ScoreLog(score, lambda x: f"{x:.6f}", path)
        founders = [Candidate(float(x), np.array([x])) for x in range(3)]
        settings = {"children": 20, "tournament_size": 2, "rule": "average", "rng": np.random.default_rng(1)}
        return age_evolve(founders, lambda x, rng: x + round(rng.normal(), 6), log, **settings), log

    def killed(x, left=[8]):  # noqa: B006
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return [2 * x]

    with pytest.raises(KeyboardInterrupt):
        search(killed)
    with path.open("a") as file:
        file.write('["1.0", [2')  # the line that it was writing
    history, log = search(lambda x: [2 * x])
    assert len(history) == 23 and log.computed == 12
    again, log = search(lambda x: [2 * x])
    assert log.computed == 0
    assert [one.genome for one in again] == [one.genome for one in history]
    path.write_text("no score\n")
    with pytest.raises(ValueError, match="line 1 of"):
        ScoreLog(len, str, path)


@pytest.mark.parametrize("line", ["5", "[[1], 2]", "[1]", "{}"])
def test_a_log_of_something_else_is_refused(tmp_path, line):
    (tmp_path / "log").write_text(line + "\n")
    with pytest.raises(ValueError, match="line 1 of"):
        ScoreLog(str, str, tmp_path / "log")
