"""Presets: which data, which models, how long. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace

from quire.common.checks import check_at_least
from quire.common.data.m4 import Group
from quire.common.data.telemetry import AnomalySet
from quire.common.data.time_series import SeriesName
from quire.common.train.recipe import Optimiser, Recipe


@dataclass(frozen=True)
class Size:
    """Size of a model; what the data ask for (steps, channels, classes) is added by the task.

    Attributes:
        dim, hidden_dim, num_layers, top_k, num_kernels, dropout: as in `TimesNetConfig`.
    """

    dim: int = 16
    hidden_dim: int = 32
    num_layers: int = 2
    top_k: int = 5
    num_kernels: int = 6
    dropout: float = 0.1


@dataclass(frozen=True)
class Training(Recipe):
    """Recipe of a training run, by Adam or RAdam; with several epochs, early stopping chooses the one whose state is kept.

    Attributes:
        patience: epochs without improvement on validation data that end the run.
    """

    optimiser: Optimiser = "adam"
    patience: int = 3


@dataclass(frozen=True)
class Forecasting:
    """Long-term forecasts: every series and every horizon, from windows of `seq_len` steps.

    `num_windows` test windows, equally spaced, or all of them for None.
    """

    series: tuple[SeriesName, ...]
    horizons: tuple[int, ...]
    seq_len: int
    model: Size
    training: Training
    linear: Training
    num_windows: int | None = None


@dataclass(frozen=True)
class Imputation:
    """Imputation of entries missing at random, at every rate of `rates`.

    Raises:
        ValueError: for a rate that does not lie between 0 and 1.
    """

    series: tuple[SeriesName, ...]
    rates: tuple[float, ...]
    seq_len: int
    model: Size
    training: Training
    num_windows: int | None = None

    def __post_init__(self):
        if not all(0 < rate < 1 for rate in self.rates):
            raise ValueError(f"rates is {self.rates}; they must lie between 0 and 1")


@dataclass(frozen=True)
class Gaps:
    """Imputation of gaps in generated periodic series, where folding should help.

    Attributes:
        seq_len, period, num_gaps, gap: steps of a window, of its period, gaps of a window, steps of a gap.
        model, training: TimesNet and how it is trained.
        fewer_periods: k of the ablation of k; None for no such ablation.
        num_windows: for the test.
    """

    seq_len: int
    period: int
    num_gaps: int
    gap: int
    model: Size
    training: Training
    fewer_periods: int | None = None
    num_windows: int = 128


@dataclass(frozen=True)
class ShortTerm:
    """Short-term forecasts of the groups of M4; none leaves them out."""

    groups: tuple[Group, ...]
    model: Size
    training: Training


@dataclass(frozen=True)
class Classification:
    """Sets of the UEA archive; `batch` cases are classified together in the test, since they share their periods.

    Raises:
        ValueError: for a batch without a case.
    """

    sets: tuple[str, ...]
    model: Size
    training: Training
    batch: int = 10

    def __post_init__(self):
        check_at_least("batch", self.batch)


@dataclass(frozen=True)
class Anomalies:
    """Detection of anomalies.

    Attributes:
        channels: of the spacecraft, one model each; or
        sets: whole sets, one model each.
        seq_len: of a window.
        model, training: TimesNet and how it is trained.
        ratio: per cent of steps to flag.
        column: whose squared error is the score; None averages all columns.

    Raises:
        ValueError: for a negative column, or a ratio that does not lie between 0 and 100.
    """

    seq_len: int
    model: Size
    training: Training
    channels: tuple[str, ...] = ()
    sets: tuple[AnomalySet, ...] = ()
    ratio: float = 1.0
    column: int | None = 0

    def __post_init__(self):
        check_at_least("column", self.column or 0, 0)
        if not 0 < self.ratio < 100:
            raise ValueError(f"ratio is {self.ratio}; it must lie between 0 and 100")


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        draws: generated series of the claim on periods.
        forecasting, imputation, gaps, short_term, classification, anomalies: the tasks.
        fallback: whether generated data may stand in where a set is not on this machine; tables then name them.
    """

    draws: int
    forecasting: Forecasting
    imputation: Imputation
    gaps: Gaps
    short_term: ShortTerm
    classification: Classification
    anomalies: Anomalies
    fallback: bool = False


_SMALL = Size(hidden_dim=16, num_layers=1, top_k=3, num_kernels=3, dropout=0.0)

QUICK = Preset(
    draws=100,
    forecasting=Forecasting(
        series=("ETTh1",),
        horizons=(96,),
        seq_len=96,
        model=_SMALL,
        training=Training(150, 16, 3e-3),
        linear=Training(150, 16, 1e-2),
        num_windows=128,
    ),
    imputation=Imputation(
        series=("ETTh1",), rates=(0.5,), seq_len=96, model=_SMALL, training=Training(150, 16, 1e-2), num_windows=128
    ),
    gaps=Gaps(seq_len=192, period=48, num_gaps=3, gap=16, model=_SMALL, training=Training(80, 16, 5e-3)),
    short_term=ShortTerm(groups=(), model=replace(_SMALL, top_k=1, num_kernels=2), training=Training(600, 16, 5e-3)),
    classification=Classification(
        sets=("JapaneseVowels",),
        model=Size(num_layers=1, top_k=3, num_kernels=4, dropout=0.0),
        training=Training(108, 15, 5e-3, "constant", optimiser="radam"),
    ),
    anomalies=Anomalies(
        seq_len=100,
        model=Size(dim=8, hidden_dim=8, num_layers=1, top_k=3, num_kernels=3, dropout=0.0),
        training=Training(100, 16, 5e-3),
        channels=("MSL/C-1", "MSL/T-8", "MSL/D-14", "MSL/F-5", "SMAP/A-6", "SMAP/G-2"),
    ),
    fallback=True,
)
"""A laptop, about a minute: one layer, a few hundred steps, the real data where they are at hand."""

_ETTH1_EPOCH = (8640 - 192 + 1) // 32

STANDARD = Preset(
    draws=1000,
    forecasting=Forecasting(
        series=("ETTh1",),
        horizons=(96, 192),
        seq_len=96,
        model=Size(),
        training=Training(10 * _ETTH1_EPOCH, 32, 1e-4, "halve", epochs=10),
        linear=Training(10 * _ETTH1_EPOCH, 32, 1e-4, "halve", epochs=10),
    ),
    imputation=Imputation(
        series=("ETTh1",),
        rates=(0.125, 0.25, 0.375, 0.5),
        seq_len=96,
        model=Size(top_k=3),
        training=Training(5000, 16, 1e-3, "halve", epochs=10),
    ),
    gaps=Gaps(
        seq_len=192,
        period=48,
        num_gaps=3,
        gap=16,
        model=Size(),
        training=Training(1000, 16, 5e-3),
        fewer_periods=1,
        num_windows=1024,
    ),
    short_term=ShortTerm(groups=("Hourly",), model=Size(dim=32), training=Training(2000, 16, 1e-3, "halve", epochs=10)),
    classification=Classification(
        sets=("JapaneseVowels",),
        model=Size(top_k=3),
        training=Training(30 * 17, 16, 1e-3, "constant", epochs=30, patience=10, optimiser="radam"),
        batch=16,
    ),
    anomalies=Anomalies(
        seq_len=100,
        model=Size(top_k=3),
        training=Training(1000, 16, 1e-3),
        channels=(
            *(f"MSL/{name}" for name in ("C-1", "C-2", "D-14", "D-15", "F-5", "M-1", "S-2", "T-12", "T-8", "T-9")),
            *(f"SMAP/{name}" for name in ("A-5", "A-6", "G-2")),
        ),
    ),
)
"""One GPU, minutes: the paper's models on the sets that are small."""

PAPER = Preset(
    draws=1000,
    forecasting=Forecasting(
        series=(
            *("ETTh1", "ETTh2", "ETTm1", "ETTm2"),
            *("electricity", "traffic", "weather", "exchange_rate"),
        ),
        horizons=(96, 192, 336, 720),
        seq_len=96,
        model=Size(),
        training=Training(10 * _ETTH1_EPOCH, 32, 1e-4, "halve", epochs=10),
        linear=Training(10 * _ETTH1_EPOCH, 32, 1e-4, "halve", epochs=10),
    ),
    imputation=Imputation(
        series=("ETTh1", "ETTh2", "ETTm1", "ETTm2", "electricity", "weather"),
        rates=(0.125, 0.25, 0.375, 0.5),
        seq_len=96,
        model=Size(top_k=3),
        training=Training(5000, 16, 1e-3, "halve", epochs=10),
    ),
    gaps=STANDARD.gaps,
    short_term=ShortTerm(
        groups=("Yearly", "Quarterly", "Monthly", "Weekly", "Daily", "Hourly"),
        model=Size(dim=32),
        training=Training(20_000, 16, 1e-3, "halve", epochs=10),
    ),
    classification=Classification(
        sets=(
            *("EthanolConcentration", "FaceDetection", "Handwriting", "Heartbeat", "JapaneseVowels"),
            *("PEMS-SF", "SelfRegulationSCP1", "SelfRegulationSCP2", "SpokenArabicDigits", "UWaveGestureLibrary"),
        ),
        model=Size(top_k=3),
        training=Training(3000, 16, 1e-3, "constant", epochs=30, patience=10, optimiser="radam"),
        batch=16,
    ),
    anomalies=Anomalies(
        seq_len=100,
        model=Size(dim=64, hidden_dim=64, top_k=3),
        training=Training(20_000, 128, 1e-4, "halve", epochs=10),
        sets=("SMD", "MSL", "SMAP", "SWaT", "PSM"),
        column=None,
    ),
)
"""The paper's data and models, every horizon and rate of missing entries."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
