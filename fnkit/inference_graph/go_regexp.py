"""Go's regular expressions (RE2), for names of headers: translated to Python's `re`, which then means the same.

RE2 is not `re`: flags may stand anywhere, `\\z`, `\\pL`, `[[:alpha:]]`, `\\x{58}` and `\\Q...\\E` exist; lookaround, backreferences
and possessive repetition do not. The translation reads the whole expression and writes it anew with what both have in common:
groups, alternatives, repetitions, anchors, and sets of characters, which are written out. Names are ASCII, so sets are of ASCII.

Source: package `regexp/syntax` of Go 1.25.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

_ALL = frozenset(map(chr, range(128)))
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz")
_UPPER = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS = frozenset("0123456789")
_LETTERS = _LOWER | _UPPER
_WORD = _LETTERS | _DIGITS | {"_"}
_SPACE = frozenset("\t\n\f\r ")
_PUNCTUATION = frozenset(map(chr, range(33, 127))) - _LETTERS - _DIGITS
_CONTROL = frozenset(map(chr, (*range(32), 127)))
_PERL = {"d": _DIGITS, "s": _SPACE, "w": _WORD}
_POSIX = {
    "alnum": _LETTERS | _DIGITS, "alpha": _LETTERS, "ascii": _ALL, "blank": frozenset("\t "), "cntrl": _CONTROL, "digit": _DIGITS,
    "graph": _ALL - _CONTROL - {" "}, "lower": _LOWER, "print": _ALL - _CONTROL, "punct": _PUNCTUATION, "space": _SPACE | {"\v"},
    "upper": _UPPER, "word": _WORD, "xdigit": _DIGITS | frozenset("abcdefABCDEF"),
}  # fmt: skip
_NAMED = {
    "Any": _ALL, "L": _LETTERS, "Lu": _UPPER, "Ll": _LOWER, "N": _DIGITS, "Nd": _DIGITS, "Latin": _LETTERS, "Common": _ALL - _LETTERS,
    "C": _CONTROL, "Cc": _CONTROL, "Z": frozenset(" "), "Zs": frozenset(" "), "P": _PUNCTUATION - frozenset("+<=>|~$^`"),
    "Pc": frozenset("_"), "Pd": frozenset("-"), "Ps": frozenset("([{"), "Pe": frozenset(")]}"), "Po": frozenset("!\"#%&'*,./:;?@\\"),
    "S": frozenset("+<=>|~$^`"), "Sm": frozenset("+<=>|~"), "Sc": frozenset("$"), "Sk": frozenset("^`"),
}  # fmt: skip
_BEYOND_ASCII = frozenset(
    "Lt Lm Lo M Mn Mc Me Nl No Pi Pf So Zl Zp Cf Co Cs Arabic Armenian Bengali Cyrillic Devanagari Ethiopic Georgian Greek Gujarati "
    "Gurmukhi Han Hangul Hebrew Hiragana Inherited Kannada Katakana Khmer Lao Malayalam Mongolian Myanmar Oriya Sinhala Tamil Telugu "
    "Thaana Thai Tibetan".split()
)
_CHARACTERS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_MAX_COUNT = 1000
_OCTAL = re.compile(r"[0-7]{1,3}")
_HEX = re.compile(r"x(?:\{([0-9a-fA-F]{1,8})\}|([0-9a-fA-F]{2}))")
_PROPERTY = re.compile(r"[pP](?:\{(\^?)(\w+)\}|(\w))")
_COUNT = re.compile(r"\{([0-9]+)(?:(,)([0-9]*))?\}")
_GROUP = re.compile(r"\?(?:P?<([A-Za-z0-9_]+)>|([imsU]*)(?:-([imsU]+))?([:)]))")


class _Refused(Exception):
    """Go would not compile the expression."""


@dataclass(frozen=True, slots=True)
class _Flags:
    fold: bool = False
    lines: bool = False
    any: bool = False

    def changed(self, letters: str, *, to: bool) -> _Flags:
        names = {"i": "fold", "m": "lines", "s": "any"}  # U changes what is matched, never whether
        return replace(self, **{names[letter]: to for letter in letters if letter in names})


class _Translator:
    """Reads an expression from its start to its end; *_out* is its translation so far."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._out: list[str] = []
        self._flags = _Flags()
        self._outside: list[_Flags] = []
        self._repeatable = self._repeated = False

    def translate(self) -> str:
        while self._at < len(self._text):
            self._step()
        if self._outside:
            raise _Refused
        return "".join(self._out)

    def _step(self) -> None:
        char = self._text[self._at]
        self._at += 1
        match char:
            case "(":
                self._open()
            case ")":
                if not self._outside:
                    raise _Refused
                self._flags = self._outside.pop()
                self._atom(")")
            case "|":
                self._write("|")
            case "*" | "+" | "?":
                self._repeat(char)
            case "{" if (found := _COUNT.match(self._text, self._at - 1)) is not None:
                self._counted(found)
            case "[":
                self._atom(self._set(self._class()))
            case ".":
                self._atom(self._set(_ALL if self._flags.any else _ALL - {"\n"}))
            case "^":
                self._atom(r"(?m:^)" if self._flags.lines else r"(?:\A)")
            case "$":
                self._atom(r"(?m:$)" if self._flags.lines else r"(?:\Z)")
            case "\\":
                self._escape()
            case _:
                self._atom(self._literal(char))

    def _write(self, piece: str) -> None:
        """Write what a repetition cannot follow."""
        self._out.append(piece)
        self._repeatable = self._repeated = False

    def _atom(self, piece: str) -> None:
        self._out.append(piece)
        self._repeatable, self._repeated = True, False

    def _literal(self, char: str) -> str:
        if self._flags.fold and char in _LETTERS:
            return f"[{char.lower()}{char.upper()}]"
        return re.escape(char)

    def _set(self, members: frozenset[str]) -> str:
        return "[" + "".join(f"\\x{ord(char):02x}" for char in sorted(members)) + "]" if members else "(?!)"

    def _open(self) -> None:
        before = self._flags
        if self._text.startswith("?", self._at):
            found = _GROUP.match(self._text, self._at)
            if found is None:
                raise _Refused
            self._at = found.end()
            if not found[1]:
                self._flags = before.changed(found[2], to=True).changed(found[3] or "", to=False)
                if found[4] == ")":
                    return
        self._outside.append(before)
        self._write("(?:")

    def _repeat(self, sign: str) -> None:
        if not self._repeatable or self._repeated:
            raise _Refused
        if self._text.startswith("?", self._at):
            self._at += 1
            sign += "?"
        self._out.append(sign)
        self._repeated = True

    def _counted(self, found: re.Match[str]) -> None:
        least = int(found[1])
        most = least if not found[2] else int(found[3]) if found[3] else None
        if least > _MAX_COUNT or (most is not None and not least <= most <= _MAX_COUNT):
            raise _Refused
        self._at = found.end()
        self._repeat(found[0])

    def _escape(self) -> None:
        rest = self._text[self._at : self._at + 1]
        if rest in ("A", "z", "b", "B"):
            self._at += 1
            self._atom(rf"(?:\{'Z' if rest == 'z' else rest})")
        elif rest == "Q":
            quoted, end, _ = self._text[self._at + 1 :].partition("\\E")
            self._at += 1 + len(quoted) + len(end)
            for char in quoted:
                self._atom(self._literal(char))
        elif (members := self._named()) is not None:
            self._atom(self._set(members))
        else:
            self._atom(self._literal(self._character()))

    def _named(self) -> frozenset[str] | None:
        """Read the rest of `\\d`, `\\pL` and their like; None if it is none of them."""
        letter = self._text[self._at : self._at + 1]
        if letter.lower() in _PERL:
            self._at += 1
            members = _PERL[letter.lower()]
            return _ALL - members if letter.isupper() else self._folded(members)
        if letter.lower() != "p" or not letter:
            return None
        found = _PROPERTY.match(self._text, self._at)
        name = (found[2] or found[3]) if found else ""
        if found is None or not (name in _NAMED or name in _BEYOND_ASCII):
            raise _Refused
        self._at = found.end()
        members = self._folded(_NAMED.get(name, frozenset()))
        return _ALL - members if (letter == "P") is not bool(found[1]) else members

    def _folded(self, members: frozenset[str]) -> frozenset[str]:
        return members | {char.swapcase() for char in members & _LETTERS} if self._flags.fold else members

    def _character(self) -> str:
        """Read the rest of an escaped character."""
        letter = self._text[self._at : self._at + 1]
        if letter in ("", "8", "9"):
            raise _Refused
        octal, coded = _OCTAL.match(self._text, self._at), _HEX.match(self._text, self._at)
        if octal is not None and (letter == "0" or len(octal[0]) > 1):  # one digit alone would refer to a group
            self._at = octal.end()
            return chr(int(octal[0], 8))
        if coded is not None:
            self._at = coded.end()
            return _rune(int(coded[1] or coded[2], 16))
        if letter.isascii() and (letter in _CHARACTERS or not letter.isalnum()):
            self._at += 1
            return _CHARACTERS.get(letter, letter)
        raise _Refused

    def _class(self) -> frozenset[str]:
        """Read the rest of a class in brackets."""
        negated = self._text.startswith("^", self._at)
        self._at += negated
        members: frozenset[str] = frozenset()
        first = True
        while first or not self._text.startswith("]", self._at):
            if self._at >= len(self._text):
                raise _Refused
            first = False
            members |= self._member()
        self._at += 1
        members = self._folded(members)
        return _ALL - members if negated else members

    def _member(self) -> frozenset[str]:
        text = self._text
        if text.startswith("[:", self._at) and (end := text.find(":]", self._at + 2)) >= 0:
            name = text[self._at + 2 : end]
            if name.removeprefix("^") not in _POSIX:
                raise _Refused
            self._at = end + 2
            members = self._folded(_POSIX[name.removeprefix("^")])
            return _ALL - members if name.startswith("^") else members
        if text.startswith("\\", self._at):
            self._at += 1
            named = self._named()
            if named is not None:
                return named
            self._at -= 1
        low = high = self._class_character()
        if text.startswith("-", self._at) and text[self._at + 1 : self._at + 2] not in ("", "]"):
            self._at += 1
            high = self._class_character()
            if high < low:
                raise _Refused
        return frozenset(char for char in _ALL if low <= char <= high)

    def _class_character(self) -> str:
        char = self._text[self._at : self._at + 1]
        self._at += 1
        return self._character() if char == "\\" else char


def _rune(code: int) -> str:
    if code > 0x10FFFF:
        raise _Refused
    return chr(code)


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """Return Python's form of a Go regular expression, None if Go would not compile it."""
    try:
        return re.compile(_Translator(pattern).translate())
    except (_Refused, re.error, OverflowError, RecursionError):
        return None
