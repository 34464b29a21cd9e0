"""The search: ageing evolution with cheap rejection and Pareto tournaments, random search, re-ranking."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from quire.common.train.evolution import Candidate, Rule, ScoreLog, age_evolve, pareto_mask
from quire.evonorm.graph import Graph, mutate, random_graph
from quire.evonorm.primitives import PRIMITIVES, SAMPLE_PRIMITIVES
from quire.evonorm.rejection import is_sound

Origin = Literal["random", "mutant"]
Judge = Callable[[Graph], tuple[str, Sequence[float] | None]]
"""`graph -> (test that rejects it, None) or ("accepted", K scores)`."""


@dataclass(frozen=True)
class SearchConfig:
    """A search.

    Attributes:
        tests: candidates that are trained, at least briefly; those that fail the structural test are free.
        founders: of these, random ones that found the population; what survives of them is its size.
        nodes: of a graph.
        tournament: share of the population that a tournament draws.
        least_drawn: but at least so many; founding goes on until so many survive.
        rule: how the winner is chosen.
        batch_moments: whether moments over the batch may be used: the search for B layers.

    Raises:
        ValueError: for counts below 1, more founders than tests, or a share outside `(0, 1]`.
    """

    tests: int = 5000
    founders: int = 1000
    nodes: int = 10
    tournament: float = 0.05
    least_drawn: int = 3
    rule: Rule = "pareto"
    batch_moments: bool = True

    def __post_init__(self):
        if min(self.tests, self.founders, self.nodes, self.least_drawn) < 1 or self.founders > self.tests:
            raise ValueError(
                f"tests is {self.tests}, founders {self.founders}, nodes {self.nodes}, least_drawn {self.least_drawn}; "
                "all must be at least 1, and founders no more than tests"
            )
        if not 0 < self.tournament <= 1:
            raise ValueError(f"tournament is {self.tournament}; it must lie in (0, 1]")

    @property
    def primitives(self) -> tuple[str, ...]:
        """What graphs are made of."""
        return PRIMITIVES if self.batch_moments else SAMPLE_PRIMITIVES


class Trial(NamedTuple):
    """A candidate, how it arose, the test that rejected it (or `"accepted"`), and its K scores."""

    graph: Graph
    origin: Origin
    stage: str
    scores: np.ndarray | None

    @property
    def mean_score(self) -> float:
        """The mean of the scores; NaN if there are none."""
        return float("nan") if self.scores is None else float(np.mean(self.scores))


@dataclass
class History:
    """All trials of a search in their order."""

    trials: list[Trial] = field(default_factory=list)

    def accepted(self) -> list[Trial]:
        """The trials that have scores."""
        return [trial for trial in self.trials if trial.scores is not None]

    def accepted_scores(self) -> np.ndarray:
        """Their scores `[trials, K]`; there must be one trial at least."""
        return np.stack([trial.scores for trial in self.trials if trial.scores is not None])

    def rejected_share(self, origin: Origin) -> float:
        """Share of the candidates of one origin that some test rejected; NaN if there are none."""
        found = [trial.stage != "accepted" for trial in self.trials if trial.origin == origin]
        return float(np.mean(found)) if found else float("nan")

    def stage_share(self, origin: Origin, stage: str) -> float:
        """Share of the candidates of one origin that one test rejected; NaN if there are none."""
        found = [trial.stage == stage for trial in self.trials if trial.origin == origin]
        return float(np.mean(found)) if found else float("nan")

    def tested(self, origin: Origin) -> int:
        """How many candidates of one origin passed the structural test, and were judged."""
        return sum(trial.stage != "structure" for trial in self.trials if trial.origin == origin)

    def best(self) -> Trial:
        """The highest mean score.

        Raises:
            ValueError: if no candidate was accepted.
        """
        accepted = self.accepted()
        if not accepted:
            raise ValueError("no trial was accepted; search longer or lower the threshold")
        return max(accepted, key=lambda trial: trial.mean_score)


class _Recorder:
    """Judges candidates, equals only once, and writes down every trial."""

    def __init__(self, judge: Judge, history: History, log: Path | str | None):
        self.scores = ScoreLog(lambda graph: _as_json(judge(graph)), lambda graph: graph.digest, log)
        self.history = history

    def __call__(self, graph: Graph, origin: Origin) -> np.ndarray | None:
        stage, scores = self.scores(graph)
        scores = None if scores is None else np.asarray(scores, float)
        self.history.trials.append(Trial(graph, origin, stage, scores))
        return scores

    def skip(self, graph: Graph, origin: Origin) -> None:
        """A candidate that the structural test rejects: written down, not counted."""
        self.history.trials.append(Trial(graph, origin, "structure", None))


def _as_json(result):
    stage, scores = result
    return [stage, None if scores is None else [float(score) for score in scores]]


def random_search(
    config: SearchConfig, judge: Judge, rng: np.random.Generator, *, tests: int, log: Path | str | None = None
) -> History:
    """So many random graphs that pass the structural test, judged; those that do not are written down beside them.

    Args:
        config: of the graphs.
        judge: see `ProxyTask.judge`.
        rng: of the draws.
        tests: how many to judge.
        log: file of scores, see `ScoreLog`.
    """
    history = History()
    record = _Recorder(judge, history, log)
    for _ in range(tests):
        record(_sound(partial(random_graph, rng, config.nodes, config.primitives), "random", record), "random")
    return history


def _sound(draw: Callable[[], Graph], origin: Origin, record: _Recorder) -> Graph:
    """The first draw that passes the structural test."""
    while not is_sound(graph := draw()):
        record.skip(graph, origin)
    return graph


def evolve(
    config: SearchConfig,
    judge: Judge,
    rng: np.random.Generator,
    *,
    founders: History | None = None,
    log: Path | str | None = None,
) -> History:
    """Ageing evolution: random founders, then mutants of the winners of tournaments, until all tests are spent.

    Args:
        config: sizes and rule.
        judge: see `ProxyTask.judge`.
        rng: of all draws.
        founders: a random search that founds the population, rather than a new one of `config.founders` tests; more random
            graphs are judged until as many survive as a tournament draws.
        log: file of scores. A search that was killed goes on from it when started again with an equal generator.

    Returns:
        All trials, the founders first.
    """
    history = History() if founders is None else History(list(founders.trials))
    record = _Recorder(judge, history, log)
    draw = partial(random_graph, rng, config.nodes, config.primitives)
    judged = sum(trial.stage != "structure" for trial in history.trials)
    for _ in range(config.founders - judged):
        record(_sound(draw, "random", record), "random")
    while len(history.accepted()) < config.least_drawn:
        record(_sound(draw, "random", record), "random")
    population = [Candidate(trial.graph, trial.scores) for trial in history.trials if trial.scores is not None]
    drawn = max(config.least_drawn, round(config.tournament * len(population)))
    age_evolve(
        population,
        lambda graph, rng: _sound(partial(mutate, graph, rng, config.primitives), "mutant", record),
        lambda graph: record(graph, "mutant"),
        children=config.tests,
        tests=config.tests - config.founders,
        tournament_size=drawn,
        rule=config.rule,
        rng=rng,
    )
    return history


def finalists(history: History, top: int = 10) -> list[Trial]:
    """What is worth training for longer: the best so many by mean score and the Pareto front, each function once.

    Raises:
        ValueError: if no trial was accepted.
    """
    accepted = history.accepted()
    if not accepted:
        raise ValueError("history has no accepted trial; search longer or lower the threshold")
    scores = history.accepted_scores()
    order = np.argsort(-scores.mean(1), kind="stable")
    front = pareto_mask(scores)
    places = [*order[:top], *(i for i in order[top:] if front[i])]
    return list({accepted[i].graph.digest: accepted[i] for i in reversed(places)}.values())[::-1]


def rerank(trials: Sequence[Trial], score: Callable[[Graph], Sequence[float]]) -> list[Trial]:
    """Finalists scored anew by a longer training, best mean first; the first one becomes the layer.

    Args:
        trials: from `finalists`.
        score: `graph -> K scores`; NaN ranks last.
    """
    again = [np.asarray(score(trial.graph), float) for trial in trials]
    order = sorted(range(len(again)), key=lambda i: -np.nan_to_num(again[i], nan=-np.inf).mean())
    return [trials[i]._replace(scores=again[i]) for i in order]
