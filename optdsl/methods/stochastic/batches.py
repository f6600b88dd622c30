"""The batches of an epoch: which members, in which order; a function of the seed and the epoch, on any machine.

Members are put in the order of random keys, the raw stream of PCG64 (O'Neill 2014), which NumPy keeps for good; what
it makes of the stream, such as permutations, may change between its versions.
"""

from __future__ import annotations

import numpy as np

ORDER, PARTITION, DRAWS, SIGNS = range(4)
"""What random numbers are for: each purpose has its own stream."""


def raw(seed: int, purpose: int, epoch: int, count: int) -> np.ndarray:
    """Random numbers (count,), uint64."""
    stream = np.random.PCG64(np.random.SeedSequence([seed, purpose, epoch]))
    return np.asarray(stream.random_raw(count))


def ordered(keys: np.ndarray) -> np.ndarray:
    """The numbers 0 .. len(keys) - 1 in the order of their random keys, by one sort of both packed together.

    The numbers take the keys' low bits; among n keys the others are equal by chance in about n^3 / 2^65 pairs.
    """
    count = len(keys)
    low = (np.uint64(1) << np.uint64(max(count - 1, 1).bit_length())) - np.uint64(1)
    packed = (keys & ~low) | np.arange(count, dtype=np.uint64)
    packed.sort()
    return (packed & low).astype(np.int64)


class Batches:
    """The batches of one epoch after another: `count` of up to `size` members.

    shuffled: every epoch orders the members anew and goes through all of them, so that each batch is equally likely
    to hold each member. Else the batches stay the same, and each step draws one of them.
    """

    def __init__(self, members: int, size: int, seed: int, shuffled: bool = True) -> None:
        self.members, self.seed, self.shuffled = members, seed, shuffled
        self.size = members if size <= 0 else min(size, members)
        self.count = -(-members // self.size) if members else 1
        self._whole = self.count == 1
        self._order = np.zeros(0, dtype=np.int64)
        self._draws = np.zeros(0, dtype=np.int64)
        if not shuffled and not self._whole:
            self._order = ordered(raw(seed, PARTITION, 0, members))

    def arrange(self, epoch: int) -> None:
        """Makes the batches those of an epoch."""
        if self._whole:
            return
        if self.shuffled:
            self._order = ordered(raw(self.seed, ORDER, epoch, self.members))
        else:
            self._draws = (raw(self.seed, DRAWS, epoch, self.count) % np.uint64(self.count)).astype(np.int64)

    def number(self, step: int) -> int:
        """The number of the batch at a step of the epoch."""
        return step if self.shuffled or self._whole else int(self._draws[step])

    def members_of(self, number: int) -> np.ndarray | slice:
        """The members of a batch."""
        if self._whole:
            return slice(0, self.members)
        return self._order[number * self.size : (number + 1) * self.size]

    def share(self, number: int) -> float:
        """The part of all members that a batch holds; over the batches they add up to 1."""
        if self._whole:
            return 1.0
        return (min((number + 1) * self.size, self.members) - number * self.size) / self.members


def parts(members: int, size: int) -> list[tuple[slice, float]]:
    """All members in order, in slices of up to `size`, with the share of each."""
    if members == 0:
        return [(slice(0, 0), 1.0)]
    firsts = range(0, members, size)
    return [(slice(a, min(a + size, members)), (min(a + size, members) - a) / members) for a in firsts]
