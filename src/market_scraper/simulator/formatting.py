"""Numbers as the venue writes them: decimal strings, never an exponent, always at least one fraction digit.

Recorded: "63689.0", "0.02665", "11.0", "-0.01781", "917841122.7465319633" (see its tests).
"""

from decimal import Decimal


def _tidy(text: str) -> str:
    """Strip trailing zeros down to one fraction digit; there is no "-0.0"."""
    if "." not in text:
        text += ".0"
    else:
        text = text.rstrip("0")
        if text.endswith("."):
            text += "0"
    return "0.0" if text == "-0.0" else text


def lots_text(lots: int, decimals: int) -> str:
    """A size of whole lots of 10^-decimals coins: (2665, 5) -> "0.02665"."""
    if decimals == 0:
        return f"{lots}.0"
    sign = "-" if lots < 0 else ""
    whole, part = divmod(abs(lots), 10**decimals)
    return _tidy(f"{sign}{whole}.{part:0{decimals}d}")


def amount_text(value: float | Decimal, places: int = 6) -> str:
    """An amount with at most `places` fraction digits: 100.02765 -> "100.02765", 0 -> "0.0"."""
    return _tidy(f"{value:.{places}f}")
