"""Numbers as the reports write them."""


def percent(value: float, digits: int = 1) -> str:
    """A share from 0 to 1 in percent, without the sign."""
    return f"{100 * value:.{digits}f}"
