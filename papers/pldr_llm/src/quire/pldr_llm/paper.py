"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.pldr_llm.config import PRESETS

paper = Paper(
    slug="pldr_llm",
    title="PLDR-LLMs Learn A Generalizable Tensor Operator That Can Replace Its Own Deep Neural Net At Inference",
    authors="Gokden",
    year=2025,
    venue="arXiv",
    arxiv="2502.13502",
    area="language models",
    code="https://github.com/burcgokden/PLDR-LLM-with-KVG-cache",
    licence="Apache-2.0",
    presets=PRESETS,
)
