"""Read and write numbers as Go's strconv does."""

from __future__ import annotations

import math
import re

_DECIMAL = re.compile(r"[+-]?(?:\d[\d_]*\.?[\d_]*|\.[\d_]+)(?:[eE][+-]?\d[\d_]*)?\Z", re.A)
_HEXADECIMAL = re.compile(r"([+-]?)0[xX]((?:_?[0-9a-fA-F])*_?\.?(?:[0-9a-fA-F]_?)*)[pP]([+-]?\d[\d_]*)\Z", re.A)
_DIGITS = "0123456789"
_SPECIAL = {"inf": math.inf, "infinity": math.inf}
_UNDERSCORE = re.compile(r"(?<![0-9a-fA-FxX])_|_(?![0-9a-fA-F])")


def parse_float(text: str) -> float:
    """Return the float64 that Go's ParseFloat makes of *text*: 0 if it is no number, an infinity beyond the range.

    Go's syntax knows underscores between digits, hexadecimal numbers with a `p` exponent, and `inf`, `infinity` and `nan`
    in any case.
    """
    try:
        number = float(text)
        if text[-1] in _DIGITS and text[0] > " " and text.isascii():
            return number
    except ValueError:
        pass
    try:
        if _DECIMAL.match(text) and _underscores_fit(text):
            return float(text.replace("_", ""))
    except ValueError:
        return 0.0
    lowered = text.lower()
    if lowered == "nan":
        return math.nan
    if (limit := _SPECIAL.get(lowered.lstrip("+-"))) is not None and len(lowered.rstrip("infty")) <= 1:
        return -limit if lowered[0] == "-" else limit
    return _hexadecimal(text)


def _underscores_fit(text: str) -> bool:
    """Each underscore stands between two digits."""
    return "_" not in text or not re.search(r"(?<!\d)_|_(?!\d)", text)


def _hexadecimal(text: str) -> float:
    found = _HEXADECIMAL.match(text)
    if found is None or _UNDERSCORE.search(text):
        return 0.0
    sign, mantissa, exponent = (group.replace("_", "") for group in found.groups())
    if not mantissa.strip("."):
        return 0.0
    try:
        return float.fromhex(f"{sign}0x{mantissa}p{exponent}")
    except OverflowError:
        return -math.inf if sign == "-" else math.inf


def format_plain(number: float) -> str:
    """Return the shortest digits that mean *number*, never with an exponent: Go's format 'f' with precision -1."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    sign = "-" if math.copysign(1.0, number) < 0 else ""
    digits, _, exponent_text = repr(abs(number)).partition("e")
    whole, _, fraction = digits.partition(".")
    if fraction == "0":
        fraction = ""
    exponent = int(exponent_text or 0)
    if exponent >= 0:
        fraction = fraction.ljust(exponent, "0")
        whole, fraction = whole + fraction[:exponent], fraction[exponent:]
    else:
        fraction = (whole.rjust(-exponent + 1, "0") + fraction)[1:] if len(whole) == 1 else fraction
        whole = "0"
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole
