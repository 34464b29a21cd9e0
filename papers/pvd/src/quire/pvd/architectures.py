"""The four fields of the paper by name, and the networks that two of them can share."""

from flax import nnx

from quire.common.fields.hash_grid import hash_levels
from quire.common.fields.radiance import NETWORKS, HashField, MlpField, RadianceField, VMField, VoxelSHField
from quire.pvd.config import FieldConfig, Kind, check_kind


def build_field(kind: Kind, config: FieldConfig, *, rngs: nnx.Rngs) -> RadianceField:
    """A field with its first weights.

    Raises:
        ValueError: for an unknown kind.

    >>> small = FieldConfig(levels=2, finest=32, log2_size=8)
    >>> build_field("hash", small, rngs=nnx.Rngs(0)).table.shape
    (512, 2)
    """
    check_kind(kind)
    if kind == "hash":
        levels = hash_levels(config.levels, config.base, config.finest, config.log2_size, 3)
        return HashField(levels, hidden=config.hidden, rngs=rngs)
    if kind == "mlp":
        encoded = 2 * config.levels
        sizes = (config.octaves, config.depth, config.width)
        return MlpField(*sizes, skip=config.skip, encoded=encoded, hidden=config.hidden, rngs=rngs)
    if kind == "vm":
        return VMField((config.vm_size,) * 3, config.density_rank, config.colour_rank, hidden=config.hidden, rngs=rngs)
    return VoxelSHField((config.voxel_size,) * 3, config.degree, rngs=rngs)


def share_networks(teacher: RadianceField, student: RadianceField) -> RadianceField:
    """The student with the networks of the teacher, to be distilled with these frozen (the authors' `fix_mlp`).

    Args:
        teacher: its networks are copied; what the student does not have is passed over.
        student: left as it is.

    Returns:
        A new field. Distil it with `fix_networks=True`.

    Raises:
        ValueError: if they have no network in common, or of different shapes.
    """
    names = [name for name in NETWORKS if hasattr(teacher, name) and hasattr(student, name)]
    if not names:
        raise ValueError(f"{type(teacher).__name__} and {type(student).__name__} have no network in common; voxels have none")
    shared = nnx.clone(student)
    for name in names:
        given, own = getattr(teacher, name), getattr(shared, name)
        shapes = [[matrix.shape for matrix in net] for net in (given, own)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{name} of the teacher has shapes {shapes[0]} and of the student {shapes[1]}; they must match")
        for source, target in zip(given, own, strict=True):
            target.set_value(source.get_value())
    return shared
