"""Texts with mistakes in them."""

from __future__ import annotations

import random
from collections.abc import Sequence


def mutated(texts: Sequence[bytes], chance: random.Random, letters: bytes) -> bytes:
    """Return one of *texts* with up to three of its bytes changed into one of *letters*, put in, or left out."""
    text = bytearray(chance.choice(texts))
    for _ in range(chance.randint(0, 3)):
        at = chance.randrange(len(text))
        match chance.randint(0, 2):
            case 0:
                text[at] = chance.choice(letters)
            case 1:
                text.insert(at, chance.choice(letters))
            case _ if len(text) > 1:
                del text[at]
    return bytes(text)
