"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.timesnet.config import PRESETS

paper = Paper(
    slug="timesnet",
    title="TimesNet: Temporal 2D-Variation Modeling for General Time Series Analysis",
    authors="Wu, Hu, Liu, Zhou, Wang and Long",
    year=2023,
    venue="ICLR 2023",
    arxiv="2210.02186",
    area="time series",
    code="https://github.com/thuml/Time-Series-Library",
    licence="MIT",
    presets=PRESETS,
)
