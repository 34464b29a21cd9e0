"""Data sets: one loader each, files from `QUIRE_DATA`, the cache or a checked download."""

from quire.common.data.registry import (
    REGISTRY,
    Dataset,
    DatasetCorrupt,
    DatasetUnavailable,
    cache_dir,
    data_dir,
    fetch,
    gunzip,
    local_path,
    read_archive,
)
from quire.common.data.sets import (
    ImageData,
    ImageSplit,
    cifar10,
    cifar10_subset,
    digits,
    imagenet_batches,
    imagenet_files,
    mnist_t10k,
    read_idx,
    wikitext2,
)

__all__ = [
    "REGISTRY",
    "Dataset",
    "DatasetCorrupt",
    "DatasetUnavailable",
    "ImageData",
    "ImageSplit",
    "cache_dir",
    "cifar10",
    "cifar10_subset",
    "data_dir",
    "digits",
    "fetch",
    "gunzip",
    "imagenet_batches",
    "imagenet_files",
    "local_path",
    "mnist_t10k",
    "read_archive",
    "read_idx",
    "wikitext2",
]
