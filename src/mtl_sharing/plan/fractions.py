"""Depths and widths that are numbers, or shares of the encoder's, like ``4/12`` or ``204/768``.

So one file says what a report did with BERT base, and fits every encoder.
"""

import logging
import re
from fractions import Fraction

from mtl_sharing.errors import UserError

log = logging.getLogger(__name__)


def layer_count(where: str, value: int | str, layers: int) -> Fraction:
    """A number of layers as it stands, or a share of ``layers``."""
    text = str(value).strip()
    if re.fullmatch("[0-9]{1,6}(/0*[1-9][0-9]{0,5})?", text):
        exact = Fraction(text) * (layers if "/" in text else 1)
        if exact <= layers:
            return exact
    raise UserError(where, value, f"0 to {layers}, or a share of the encoder's {layers}, like 1/2")


def round_half_up(exact: Fraction) -> int:
    """The nearest whole number; of two the larger."""
    return int(exact + Fraction(1, 2))


def log_fraction(where: str, value: int | str, whole: int, taken: int) -> None:
    """Logs where a share was written for an encoder of another size."""
    if "/" in str(value) and str(value).partition("/")[2].strip() != str(whole):
        level = logging.INFO if taken else logging.WARNING
        log.log(level, "%s=%s is %d of this encoder's %d", where, value, taken, whole)


def scaled_width(where: str, value: int | str, hidden: int, multiple: int = 1) -> int:
    """A width as it stands, or a share of the encoder's to the nearest multiple of ``multiple``.

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
