"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.gaunt_tensor_product.config import PRESETS

paper = Paper(
    slug="gaunt_tensor_product",
    title="Enabling Efficient Equivariant Operations in the Fourier Basis via Gaunt Tensor Products",
    authors="Luo, Chen and Krishnapriyan",
    year=2024,
    venue="ICLR 2024",
    arxiv="2401.10216",
    area="equivariant networks, force fields",
    code="https://github.com/lsj2408/Gaunt-Tensor-Product",
    licence="Apache-2.0",
    presets=PRESETS,
)
