"""Sizes of the experiments at the three presets. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class IdentityConfig:
    """T1 and T2: random problems against literal enumeration. `lengths` lists tokens of the queries, then of each memory."""

    lengths: tuple[tuple[int, ...], ...] = ((7, 7), (5, 6, 4), (5, 5, 5, 5))
    dim: int = 5
    channels: int = 5
    bound: float = 1.3
    degree: int = 4


@dataclass(frozen=True)
class TruncationConfig:
    """T3: entries uniform in [-bound, bound], order 3."""

    tokens: int = 64
    dim: int = 4
    bound: float = 1.2
    max_degree: int = 8


@dataclass(frozen=True)
class ScalingConfig:
    """T4: entries uniform in [-1, 1], order 3, float32."""

    dim: int = 4
    degree: int = 4
    low_rank_tokens: tuple[int, ...] = (512, 1024, 2048, 4096, 8192)
    dense_tokens: tuple[int, ...] = (64, 96, 128, 192, 256)
    streamed_tokens: tuple[int, ...] = (128, 192, 256, 384)
    repeats: int = 60


@dataclass(frozen=True)
class TransitionConfig:
    """T5: entries +-B with random signs, values uniform in [-1, 1]."""

    tokens: int = 12
    dim: int = 4
    orders: tuple[int, ...] = (2, 3, 4)
    lowest: float = 1.0
    highest: float = 2.5
    spacing: float = 0.05
    error: float = 1e-3
    max_degree: int = 56
    budget: int = 20


@dataclass(frozen=True)
class UnitConfig:
    """T6: pairs (modulus, tokens) of the constructive Match3 unit."""

    sizes: tuple[tuple[int, int], ...] = ((31, 6), (101, 11), (307, 20), (701, 32))
    instances: int = 50


@dataclass(frozen=True)
class LearningConfig:
    """T7: training on Match3."""

    tokens: int = 4
    modulus: int = 11
    head_dim: int = 8
    hidden: int = 64
    learning_rate: float = 1e-2
    steps: int = 2000
    batch_size: int = 64
    test_sequences: int = 4000
    snapshots: int = 20


@dataclass(frozen=True)
class Config:
    """All experiments of the paper."""

    identity: IdentityConfig = IdentityConfig()
    truncation: TruncationConfig = TruncationConfig()
    scaling: ScalingConfig = ScalingConfig()
    transition: TransitionConfig = TransitionConfig()
    unit: UnitConfig = UnitConfig()
    learning: LearningConfig = LearningConfig()


quick = Config()

standard = replace(
    quick,
    identity=replace(quick.identity, lengths=((9, 9), (5, 6, 4), (9, 9, 9), (5, 5, 5, 5))),
    truncation=replace(quick.truncation, tokens=128),
    scaling=replace(
        quick.scaling,
        low_rank_tokens=tuple(2**k for k in range(12, 18)),
        dense_tokens=(256, 320, 384, 448, 512),
        streamed_tokens=(256, 384, 512, 768),
    ),
    transition=replace(quick.transition, tokens=16, spacing=0.025),
    unit=replace(quick.unit, instances=200),
    learning=replace(quick.learning, test_sequences=20_000),
)

paper = replace(
    standard,
    truncation=replace(quick.truncation, tokens=256),
    scaling=replace(
        quick.scaling,
        low_rank_tokens=tuple(2**k for k in range(14, 21)),
        dense_tokens=(512, 640, 768, 896, 1024),
        streamed_tokens=(512, 768, 1024, 1536, 2048),
    ),
    transition=replace(quick.transition, tokens=24, spacing=0.025),
    unit=replace(quick.unit, sizes=(*quick.unit.sizes, (1499, 45), (2999, 64)), instances=200),
    learning=replace(quick.learning, test_sequences=100_000),
)
