"""Foreign text that shows what it holds."""

import unicodedata

_DIRECTIONS = {"\u061c", *map(chr, (*range(0x200E, 0x2010), *range(0x202A, 0x202F)))}
_DIRECTIONS |= set(map(chr, range(0x2066, 0x206A)))


def visible(text: str) -> str:
    """Text in which what acts on a terminal or on a reader's eyes is named instead."""
    return "".join(_shown(letter) for letter in text)


def _shown(letter: str) -> str:
    if letter in "\n\t":
        return letter
    acts = letter in _DIRECTIONS or unicodedata.category(letter) in ("Cc", "Cs")
    return f"⟨U+{ord(letter):04X}⟩" if acts else letter
