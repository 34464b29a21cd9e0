"""How many kernels a parameter budget pays for: that of a reference hash grid. Section 4 and the authors' code."""

from quire.common.fields.hash_grid import HashLevels
from quire.neurbf.kernels import shape_params


def decoder_params(inputs: int, hidden: int, outputs: int) -> int:
    """Weights and biases of three linear layers.

    >>> decoder_params(32, 64, 3)
    6467
    """
    return inputs * hidden + hidden + hidden * hidden + hidden + hidden * outputs + outputs


def grid_params(levels: HashLevels, features: int, hidden: int, outputs: int) -> int:
    """Parameters of a hash grid with its decoder: Instant-NGP's."""
    return levels.size * features + decoder_params(len(levels.sides) * features, hidden, outputs)


def kernel_params(kind: str, dim: int, channels: int) -> int:
    """Numbers that one kernel costs: its weights, centre and shape.

    >>> kernel_params("ivq_a", 2, 32), kernel_params("nlin_s", 3, 16)
    (37, 20)
    """
    return channels + dim + shape_params(kind, dim)


def hybrid_params(
    n_kernels: int, kind: str, channels: int, levels: HashLevels | None, features: int, hidden: int, outputs: int, dim: int
) -> int:
    """All numbers of a NeuRBF: kernels, grid (if any), bias and decoder."""
    inputs = channels + (len(levels.sides) * features if levels else 0)
    table = levels.size * features if levels else 0
    return n_kernels * kernel_params(kind, dim, channels) + table + inputs + decoder_params(inputs, hidden, outputs)


def auto_kernel_count(
    budget: int, kind: str, channels: int, levels: HashLevels | None, features: int, hidden: int, outputs: int, dim: int
) -> int:
    """The most kernels with which a NeuRBF keeps to a budget.

    Args:
        budget: numbers in all, those of the reference model.
        kind, channels: of the kernels.
        levels, features: of its own grid; None for no grid.
        hidden, outputs: widths of its decoder.
        dim: of the coordinates.

    Raises:
        ValueError: if not one kernel fits.

    >>> from quire.common.fields.hash_grid import hash_levels
    >>> own, reference = (hash_levels(levels, 16, 32, 8, 2, align_corners=True) for levels in (2, 16))
    >>> budget = grid_params(reference, 2, 32, 3)
    >>> budget, auto_kernel_count(budget, "ivq_a", 32, own, 2, 32, 3, 2)
    (10403, 189)
    """
    rest = hybrid_params(0, kind, channels, levels, features, hidden, outputs, dim)
    count = (budget - rest) // kernel_params(kind, dim, channels)
    if count < 1:
        raise ValueError(f"budget is {budget}; grid, bias and decoder take {rest}, which leaves less than one kernel")
    return count
