"""Depths and widths as numbers, or as fractions of the encoder's, like ``4/12`` or ``204/768``.

With fractions one config reproduces a setting for BERT base and fits every encoder.
"""

import logging
import re
from fractions import Fraction

from mtl_sharing.errors import UserError

log = logging.getLogger(__name__)


def layer_count(where: str, value: int | str, layers: int) -> Fraction:
    """Parses a number of layers, or a fraction of ``layers``."""
    text = str(value).strip()
    if re.fullmatch("[0-9]{1,6}(/0*[1-9][0-9]{0,5})?", text):
        exact = Fraction(text) * (layers if "/" in text else 1)
        if exact <= layers:
            return exact
    raise UserError(where, value, f"0 to {layers}, or a share of the encoder's {layers}, like 1/2")


def round_half_up(exact: Fraction) -> int:
    """The nearest whole number; halves go up."""
    return int(exact + Fraction(1, 2))


def log_fraction(where: str, value: int | str, size: int, result: int) -> None:
    """Logs the result of a fraction whose denominator is not this encoder's size."""
    if "/" in str(value) and str(value).partition("/")[2].strip() != str(size):
        level = logging.INFO if result else logging.WARNING
        log.log(level, "%s=%s is %d of this encoder's %d", where, value, result, size)


def scaled_width(where: str, value: int | str, hidden: int, multiple: int = 1) -> int:
    """Parses a width, or a fraction of ``hidden`` to the nearest multiple of ``multiple``.

    Raises:
        UserError: neither of the two, or 0.
    """
    if not re.fullmatch("0*[1-9][0-9]{0,5}(/0*[1-9][0-9]{0,5})?", str(value).strip()):
        allowed = "1 or more, or a share of the encoder's width, like 256/768"
        raise UserError(where, value, allowed)
    if "/" not in str(value):
        return int(value)
    width = max(1, round_half_up(Fraction(str(value)) * hidden / multiple)) * multiple
    log_fraction(where, value, hidden, width)
    return width
