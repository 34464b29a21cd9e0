"""Calcium imaging: activity of many neurons, some of them with a name, in several animals."""

from dataclasses import dataclass, replace

import numpy as np

from quire.common.data.archives import read_npz
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt


@dataclass(frozen=True)
class Recording:
    """One animal.

    Attributes:
        name: of the recording.
        traces: float32 `[neurons, frames]`, z-scored fluorescence.
        neurons: name of each neuron; "" if unknown, with a question mark if uncertain.
        seconds: float32 `[frames]`.
        velocity: float32 `[frames]`; empty where it was not recorded.
        reversal: bool `[frames]`, while the animal moves backwards; empty where it was not recorded.
    """

    name: str
    traces: np.ndarray
    neurons: tuple[str, ...]
    seconds: np.ndarray
    velocity: np.ndarray
    reversal: np.ndarray

    def identified(self) -> "Recording":
        """Only the neurons whose name is certain; where two neurons of an animal were given the same one, the first."""
        first = {name: i for i, name in reversed(list(enumerate(self.neurons))) if name and "?" not in name}
        certain = sorted(first.values())
        return replace(self, traces=self.traces[certain], neurons=tuple(self.neurons[i] for i in certain))


@dataclass(frozen=True)
class Recordings:
    """Several animals; `name` is how tables show them."""

    name: str
    animals: tuple[Recording, ...]


def neuropal_worms() -> Recordings:
    """Seven freely moving worms (C. elegans, strain SWF702) whose neurons were told apart by colour, 800 frames each.

    Dag, Nwabudike, Kang et al., *Dissecting the functional organization of the C. elegans serotonergic system at whole-brain
    scale*, Cell 2023; cite it when you use them.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    path = fetch("celegans-neuropal", "swf702_7worms.npz")
    arrays = read_npz(path)
    ids = sorted({name.split("/")[0] for name in arrays})
    animals = tuple(_recording(path, arrays, each) for each in ids)
    frames = animals[0].traces.shape[1]
    return Recordings(f"C. elegans, {len(animals)} worms, {frames} frames", animals)


def _recording(path, arrays, animal: str) -> Recording:
    names = ("traces_z", "names", "time_s", "velocity", "reversal")
    if missing := [name for name in names if f"{animal}/{name}" not in arrays]:
        raise DatasetCorrupt(f"{path} holds no array {animal}/{missing[0]}")
    traces, neurons, seconds, velocity, reversal = (arrays[f"{animal}/{name}"] for name in names)
    if traces.ndim != 2 or traces.shape != (len(neurons), len(seconds)):
        raise DatasetCorrupt(f"{path}: {animal} has traces {traces.shape}, {len(neurons)} names and {len(seconds)} frames")
    return Recording(animal, traces.astype(np.float32), tuple(map(str, neurons)), seconds, velocity, reversal.astype(bool))
