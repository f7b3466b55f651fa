"""Seeds derived from keys, the same in every process and on every machine."""

import hashlib


def derive_seed(*keys: int | str) -> int:
    """A 63-bit seed from a tuple of keys (Python's own hash differs between processes)."""
    text = "/".join(map(str, keys))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def trial_seed(study_seed: int, number: int) -> int:
    """The seed of a trial's initial weights, noise and batches."""
    return derive_seed("trial", study_seed, number)
