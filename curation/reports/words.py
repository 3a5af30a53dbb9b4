"""Numbers as the reports write them."""


def percent(value: float, digits: int = 1) -> str:
    """A share from 0 to 1 in percent, without the sign."""
    return f"{100 * value:.{digits}f}"


def signed(value: float, digits: int = 2) -> str:
    """A difference with its sign, minus as the typographer writes it."""
    return ("−" if round(value, digits) < 0 else "+") + f"{abs(value):.{digits}f}"


def number(value: float, digits: int = 2) -> str:
    """A number with the typographer's minus, and none before a zero."""
    return ("−" if round(value, digits) < 0 else "") + f"{abs(value):.{digits}f}"


def interval(low: float, high: float) -> str:
    """Two ends; a dash between them where none of them is below zero."""
    return f"{number(low)} to {number(high)}" if low < 0 else f"{number(low)}–{number(high)}"
