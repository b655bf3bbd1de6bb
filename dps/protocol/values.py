"""Values as a user gives them: what they are, and one wording for what is wrong with one."""

import math
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # the first characters of a text that a spreadsheet runs


def require(holds: bool, option: str, value: Any, wanted: str) -> None:
    """ValueError that says what the option must be, unless the condition holds."""
    if not holds:
        raise ValueError(f"{option}={shown(value)} must be {wanted}")


def require_typed(holds: bool, option: str, value: Any, wanted: str) -> None:
    """As `require`, for a value of a configuration, where text that looks like a number is none."""
    if isinstance(value, str) and _reads_otherwise(value):
        value, wanted = f"'{value}'", f"{wanted}, without quotation marks"
    require(holds, option, value, wanted)


def shown(value: Any) -> str:
    """A value as it is typed on the command line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def is_int(value: Any) -> bool:
    """Whether the value is an integer; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether the value is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _reads_otherwise(text: str) -> bool:
    """Whether the text, were it not in quotation marks, would be a number, true, false or null."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return text.lower() in ("true", "false", "null")
