"""Presets: sizes of the products that are timed, of the force fields and of their training."""

from dataclasses import dataclass

from quire.gaunt_tensor_product.mace import MACEConfig
from quire.gaunt_tensor_product.shapes import ShapeTask
from quire.gaunt_tensor_product.training import Training


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        rows: vectors a product is timed on.
        timed_degrees: degrees of the timings; `cg_degrees` those at which the Clebsch-Gordan product is timed as well.
        molecule, molecule_training, molecule_frames: force field on 3BPA and its number of training frames;
            the last 50 frames test.
        cluster, cluster_training, cluster_frames: the same on generated clusters, with as many for the test.
        shapes: the classification of shapes.
    """

    rows: int
    timed_degrees: tuple[int, ...]
    cg_degrees: tuple[int, ...]
    molecule: MACEConfig
    molecule_training: Training
    molecule_frames: int
    cluster: MACEConfig
    cluster_training: Training
    cluster_frames: int
    shapes: ShapeTask


SMALL = MACEConfig(4, channels=16, lmax_edge=2, num_layers=1, cutoff=3.5, radial_widths=(16, 16))
SMALL_CLUSTERS = MACEConfig(2, channels=8, lmax_edge=2, num_layers=1, cutoff=3.0, radial_widths=(16, 16))

QUICK = Preset(
    rows=128,
    timed_degrees=(4, 6, 8, 12, 16),
    cg_degrees=(4, 6),
    molecule=SMALL,
    molecule_training=Training(steps=300, batch_size=4, learning_rate=2e-2),
    molecule_frames=100,
    cluster=SMALL_CLUSTERS,
    cluster_training=Training(steps=300, batch_size=8, learning_rate=2e-2),
    cluster_frames=200,
    shapes=ShapeTask(),
)
"""A laptop: one layer of 16 channels, 300 steps."""

STANDARD = Preset(
    rows=1024,
    timed_degrees=(4, 6, 8, 12, 16, 24),
    cg_degrees=(4, 6, 8),
    molecule=MACEConfig(4, channels=64, lmax_edge=3, lmax_hidden=2),
    molecule_training=Training(steps=10_000, batch_size=5),
    molecule_frames=450,
    cluster=MACEConfig(2, channels=32, lmax_edge=3, lmax_hidden=1, cutoff=3.0),
    cluster_training=Training(steps=5000, batch_size=8),
    cluster_frames=1000,
    shapes=ShapeTask(channels=16, steps=2000),
)
"""One GPU, minutes."""

PAPER = Preset(
    rows=4096,
    timed_degrees=(4, 6, 8, 12, 16, 24, 32),
    cg_degrees=(4, 6, 8, 10),
    molecule=MACEConfig(4),
    molecule_training=Training(steps=2000 * 90, batch_size=5),
    molecule_frames=450,
    cluster=MACEConfig(2, cutoff=3.0),
    cluster_training=Training(steps=100_000, batch_size=5),
    cluster_frames=5000,
    shapes=ShapeTask(channels=64, lmax=6, steps=20_000),
)
"""The paper's force field: 256 channels, degree 3, two layers, 2000 epochs, on the 3BPA frames that can be had."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
