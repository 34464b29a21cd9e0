"""What one network for all attributes saves: parameters, counted without a network being made."""

from flax import nnx

from quire.common.checks import check_at_least
from quire.common.metrics.cost import count_params
from quire.conditional_cross_attention.config import Preset
from quire.conditional_cross_attention.training import builders


def parameter_report(preset: Preset, num_attributes: int) -> dict[str, int]:
    """Trained numbers of every network, of one network without conditions, and of one such network for each attribute.

    >>> from quire.conditional_cross_attention.config import PAPER
    >>> report = parameter_report(PAPER, 8)
    >>> print(f"{report['CCA'] / report['one network']:.3f} {report['A networks'] / report['CCA']:.2f}")
    1.000 8.00

    Raises:
        ValueError: for fewer than two attributes.
    """
    check_at_least("num_attributes", num_attributes, 2)
    makers = builders(preset, num_attributes)
    counts = {name: count_params(nnx.eval_shape(lambda make=make: make(nnx.Rngs(0)))) for name, make in makers.items()}
    alone = counts.pop("unconditioned")
    return counts | {"one network": alone, "A networks": num_attributes * alone}
