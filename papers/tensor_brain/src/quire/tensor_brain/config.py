"""Presets: graphs, sizes and steps of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field

from quire.common.train.recipe import Recipe


def adam(steps: int, learning_rate: float = 1e-2, batch_size: int = 256, ema: float = 0.0) -> Recipe:
    """Adam at a constant rate, with an average of the parameters if `ema` is not 0."""
    return Recipe(steps, batch_size, learning_rate, schedule="constant", optimiser="adam", ema=ema)


@dataclass(frozen=True)
class Identities:
    """C1 and C2: random worlds.

    Attributes:
        num_entities, num_predicates, num_times, r, r_h, r_u: sizes.
    """

    num_entities: int = 7
    num_predicates: int = 5
    num_times: int = 4
    r: int = 6
    r_h: int = 5
    r_u: int = 8


@dataclass(frozen=True)
class LinkPrediction:
    """C3: tensor models of the graphs.

    Attributes:
        graphs: names.
        r: rank.
        epochs, batch_size, learning_rate, scale: of training; `scale` is the deviation of the initial weights.
        zoo_r: rank of the comparison of all kinds of scores, on the first graph.
    """

    graphs: tuple[str, ...] = ("nations", "kinship", "umls")
    r: int = 200
    epochs: int = 500
    batch_size: int = 256
    learning_rate: float = 1e-2
    scale: float = 0.1
    zoo_r: int = 64

    def __post_init__(self):
        if self.r % 2 or self.zoo_r % 2 or min(self.r, self.zoo_r) < 2:
            raise ValueError(f"r is {self.r} and zoo_r {self.zoo_r}; ComplEx needs even ranks, at least 2")

    def recipe(self, num_queries: int) -> Recipe:
        """Adam for the epochs; a last batch that is not full counts as a step."""
        return adam(self.epochs * -(-num_queries // self.batch_size), self.learning_rate, self.batch_size)


@dataclass(frozen=True)
class Scenes:
    """C4 and C5: a brain that perceives scenes and knows a graph.

    Attributes:
        graph: what is known.
        features: numbers of a concept in the sensory memory; an input has three times as many.
        classes: groups of entities that look alike; 0 for none.
        r, r_h: widths of representation and working memory.
        training: of perception and semantic memory together; averaged, since the noise of the last steps blurs both.
        training_noise: range of the standard deviation of sensory noise.
        noises: of the tests.
        facts: how many are looked at; with fewer, accuracies are too rough to compare.
        episodes, episode_noise: scenes that become episodes.
        replayed: triples decoded from them.
        replay: training of the semantic memory on those.
    """

    graph: str = "nations"
    features: int = 8
    classes: int = 0
    r: int = 32
    r_h: int = 32
    training: Recipe = field(default_factory=lambda: adam(800, ema=0.99))
    training_noise: tuple[float, float] = (0.3, 1.5)
    noises: tuple[float, ...] = (0.3, 0.6, 0.9)
    facts: int = 600
    episodes: int = 40
    episode_noise: float = 0.5
    replayed: int = 4096
    replay: Recipe = field(default_factory=lambda: adam(300, 2e-2))


@dataclass(frozen=True)
class TinyWorld:
    """C6: predicates that depend on subject and object together.

    Attributes:
        num_entities, num_predicates: of the world.
        r, r_h: widths.
        wide_r: width of a second decoder without working memory.
        training: full batch.
    """

    num_entities: int = 12
    num_predicates: int = 6
    r: int = 8
    r_h: int = 16
    wide_r: int = 16
    training: Recipe = field(default_factory=lambda: adam(1000))

    def __post_init__(self):
        if self.wide_r < self.r:
            raise ValueError(f"wide_r is {self.wide_r} and r {self.r}; the wide decoder cannot be narrower")


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know."""

    identities: Identities = Identities()
    links: LinkPrediction = LinkPrediction()
    scenes: Scenes = Scenes()
    tiny: TinyWorld = TinyWorld()


QUICK = Preset(links=LinkPrediction(r=64, epochs=15, zoo_r=16))
"""A laptop, less than a minute."""

STANDARD = Preset(
    Identities(20, 12, 10, 32, 32, 48),
    LinkPrediction(epochs=100),
    Scenes(r=64, r_h=64, training=adam(5000, 3e-3, 1024, 0.99), episodes=100, replayed=16_384, replay=adam(1000)),
    TinyWorld(24, 12, 16, 32, 32, adam(3000)),
)
"""One GPU, minutes."""

PAPER = Preset(
    Identities(20, 12, 10, 32, 32, 48),
    LinkPrediction(),
    Scenes(
        "umls",
        64,
        12,
        200,
        200,
        adam(20_000, 1e-3, 1024, 0.99),
        (0.3, 1.5),
        facts=1000,
        episodes=200,
        replayed=65_536,
        replay=adam(2000, 1e-3),
    ),
    TinyWorld(48, 24, 32, 64, 64, adam(10_000, 3e-3)),
)
"""Rank 200 and 500 epochs; scenes over the largest graph, since the images of the paper cannot be had."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
