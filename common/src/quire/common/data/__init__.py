"""Data sets: a catalogue of addresses and digests, and one loader each, in the module that bears the name of their family."""
