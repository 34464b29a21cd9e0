"""Evolution by tournaments: Pareto fronts, winners, and the ageing population of regularised evolution (Real et al. 2019)."""

import itertools
import json
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Real

Rule = Literal["average", "pareto"]


def pareto_mask(scores: Real[np.ndarray, "n k"]) -> Bool[np.ndarray, " n"]:
    """Which rows no other row dominates: at least as good in every column and better in one; larger is better, ties stay.

    Args:
        scores: k scores of n candidates.

    Raises:
        ValueError: without rows or columns, or for scores that are NaN.

    >>> pareto_mask(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 1.0]])).tolist()
    [True, True, False]
    """
    scores = np.asarray(scores, float)
    if scores.ndim != 2 or 0 in scores.shape or np.isnan(scores).any():
        raise ValueError(f"scores has shape {scores.shape}; it needs [n >= 1, k >= 1] and no NaN")
    at_least = np.all(scores[:, None] >= scores[None], axis=-1)
    better = np.any(scores[:, None] > scores[None], axis=-1)
    return np.logical_not(np.any(at_least & better, axis=0))


def tournament(scores: Real[np.ndarray, "n k"], rule: Rule, rng: np.random.Generator) -> int:
    """The winner among n candidates: the highest mean score (the first of equals), or a uniform draw from the Pareto front.

    Raises:
        ValueError: see `pareto_mask`; for an unknown rule.

    >>> tournament(np.array([[1.0, 2.0], [2.0, 2.0]]), "average", np.random.default_rng(0))
    1
    """
    front = np.flatnonzero(pareto_mask(scores))
    if rule == "average":
        return int(np.asarray(scores, float).mean(1).argmax())
    if rule != "pareto":
        raise ValueError(f"rule is {rule!r}; choose average or pareto")
    return int(rng.choice(front))


class Candidate(NamedTuple):
    """Something evolved, and its scores `[k]`."""

    genome: Any
    scores: np.ndarray


def age_evolve(
    founders: Sequence[Candidate],
    mutate: Callable[[Any, np.random.Generator], Any],
    score: Callable[[Any], Real[np.ndarray, " k"] | None],
    *,
    children: int,
    tournament_size: int,
    rule: Rule,
    rng: np.random.Generator,
    attempts: int = 100,
    tests: int | None = None,
) -> list[Candidate]:
    """Regularised evolution: the winner of a random tournament is mutated, the child joins, the oldest leaves.

    Args:
        founders: first population, oldest first; its size stays.
        mutate: `(genome, rng) -> genome`.
        score: `genome -> scores`, or None to reject it; a rejected mutant is replaced by another of the same parent.
        children: how many to add.
        tournament_size: candidates drawn, without replacement, for each.
        rule: how the parent is chosen.
        rng: of all draws.
        attempts: mutants of one parent tried before another tournament is drawn.
        tests: calls of `score` after which evolution ends, with however many children there are; as many as it takes for None.

    Returns:
        Founders and children, in the order in which they were made.

    Raises:
        ValueError: if the tournament is larger than the population or empty, or children is negative; if `attempts` parents
            in a row have no mutant that is accepted.
    """
    _check_sizes(len(founders), tournament_size, children, attempts, tests)
    left = itertools.count() if tests is None else iter(range(tests))
    history, population = list(founders), deque(founders, maxlen=len(founders))
    barren = 0
    while len(history) < len(founders) + children:
        if barren == attempts:
            raise ValueError(f"score rejects all mutants of {attempts} parents, {attempts} of each; it needs to accept some")
        drawn = [population[i] for i in rng.choice(len(population), tournament_size, replace=False)]
        parent = drawn[tournament(np.stack([one.scores for one in drawn]), rule, rng)]
        for _ in range(attempts):
            if next(left, None) is None:
                return history
            genome = mutate(parent.genome, rng)
            if (scores := score(genome)) is not None:
                child = Candidate(genome, np.asarray(scores, float))
                history.append(child)
                population.append(child)  # maxlen lets the oldest leave
                barren = 0
                break
        else:
            barren += 1
    return history


def _check_sizes(founders: int, tournament_size: int, children: int, attempts: int, tests: int | None) -> None:
    if not 1 <= tournament_size <= founders or children < 0 or attempts < 1 or (tests is not None and tests < 0):
        raise ValueError(
            f"tournament_size is {tournament_size}, children {children}, attempts {attempts}, tests {tests}; "
            f"they need 1..{founders} (the founders), at least 0, at least 1, at least 0"
        )


class ScoreLog:
    """A score that is computed once for each genome and kept on disk: what makes a search resumable.

    Every result is a line of JSON, written as soon as it is known. A search that was killed is started again with the same
    generator: it repeats its draws, finds the scores in the log up to where it ended, and goes on from there. A last line that
    was cut off is dropped. Without a file, equals are still scored only once.

    Args:
        score: `genome -> anything that JSON can hold`.
        name: the genome as text; equal genomes have equal names.
        path: of the log, made when it is missing; None for none.

    Attributes:
        computed: how many scores were computed here, rather than found.

    Raises:
        ValueError: if a line of the log, the last one apart, is not one of its own.

    >>> log = ScoreLog(lambda x: [x, x * x], str)
    >>> log(3), log(3), log.computed
    ([3, 9], [3, 9], 1)
    """

    def __init__(self, score: Callable[[Any], Any], name: Callable[[Any], str], path: Path | str | None = None):
        self.score, self.name, self.computed = score, name, 0
        self.path = None if path is None else Path(path)
        self.found: dict[str, Any] = {}
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def _read(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                name, result = json.loads(line)
                self.found[name] = result
            except (ValueError, TypeError):
                raise ValueError(f"line {number} of {path} is no score; delete the file to start anew") from None
        if whole != text:
            path.write_text(whole, encoding="utf-8")

    def __call__(self, genome: Any) -> Any:
        """The score, from the log where it is there."""
        name = self.name(genome)
        if name not in self.found:
            result = self.score(genome)
            self.computed += 1
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([name, result]) + "\n")
            self.found[name] = result
        return self.found[name]
