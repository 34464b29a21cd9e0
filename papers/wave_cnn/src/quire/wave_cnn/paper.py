"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.wave_cnn.config import PRESETS

paper = Paper(
    slug="wave_cnn",
    title="A priori compression of convolutional neural networks for wave simulators",
    authors="Boukraichi, Akkari, Casenave and Ryckelynck",
    year=2023,
    venue="arXiv",
    arxiv="2304.04964",
    area="surrogates of simulations",
    presets=PRESETS,
)
