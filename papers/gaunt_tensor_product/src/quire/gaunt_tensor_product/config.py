"""Presets: sizes of the products that are timed, of the force fields and of their training."""

from dataclasses import dataclass

from quire.gaunt_tensor_product.mace import MACEConfig
from quire.gaunt_tensor_product.shapes import ShapeTask
from quire.gaunt_tensor_product.training import Training


@dataclass(frozen=True)
class ForceField:
    """A force field to be trained.

    Attributes:
        model: sizes; what depends on the data is filled in.
        training: optimiser and length.
        frames: number of training frames.
    """

    model: MACEConfig
    training: Training
    frames: int


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        rows: vectors a product is timed on.
        timed_degrees: degrees of the timings; `cg_degrees` those at which the Clebsch-Gordan product is timed as well.
        molecule: force field on 3BPA.
        cluster: force field on generated clusters, where 3BPA cannot be had.
        shapes: the classification of shapes.
    """

    rows: int
    timed_degrees: tuple[int, ...]
    cg_degrees: tuple[int, ...]
    molecule: ForceField
    cluster: ForceField
    shapes: ShapeTask


SMALL = MACEConfig(4, channels=16, lmax_edge=2, num_layers=1, cutoff=3.5, radial_widths=(16, 16))
SMALL_CLUSTERS = MACEConfig(2, channels=8, lmax_edge=2, num_layers=1, cutoff=3.0, radial_widths=(16, 16))

QUICK = Preset(
    rows=128,
    timed_degrees=(4, 6, 8, 12, 16),
    cg_degrees=(4, 6),
    molecule=ForceField(SMALL, Training(steps=300, batch_size=4, learning_rate=2e-2), frames=100),
    cluster=ForceField(SMALL_CLUSTERS, Training(steps=300, batch_size=8, learning_rate=2e-2), frames=200),
    shapes=ShapeTask(),
)
"""A laptop: one layer of 16 channels, 300 steps."""

STANDARD = Preset(
    rows=1024,
    timed_degrees=(4, 6, 8, 12, 16, 24),
    cg_degrees=(4, 6, 8),
    molecule=ForceField(MACEConfig(4, channels=64, lmax_edge=3, lmax_hidden=2), Training(steps=10_000, batch_size=5), frames=450),
    cluster=ForceField(
        MACEConfig(2, channels=32, lmax_edge=3, lmax_hidden=1, cutoff=3.0), Training(steps=5000, batch_size=8), frames=1000
    ),
    shapes=ShapeTask(channels=16, steps=2000),
)
"""One GPU, minutes."""

PAPER = Preset(
    rows=4096,
    timed_degrees=(4, 6, 8, 12, 16, 24, 32),
    cg_degrees=(4, 6, 8, 10),
    molecule=ForceField(MACEConfig(4), Training(steps=2000 * 90, batch_size=5), frames=450),
    cluster=ForceField(MACEConfig(2, cutoff=3.0), Training(steps=100_000, batch_size=5), frames=5000),
    shapes=ShapeTask(channels=64, lmax=6, steps=20_000),
)
"""The paper's force field: 256 channels, degree 3, two layers, 2000 epochs, on the 3BPA frames that can be had."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
