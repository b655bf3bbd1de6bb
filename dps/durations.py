"""Durations as people read them."""


def exact(seconds: float) -> str:
    """A time that was measured: "12.3 s", "4 min 05 s" or "3 h 07 min"."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest:02d} s"
    return "{} h {:02d} min".format(*divmod(minutes, 60))


def rough(seconds: float) -> str:
    """A time that is guessed: to ten seconds, a minute or half an hour, as "40 s", "12 min" or "3.5 h"."""
    if seconds < 95:
        return f"{max(1, round(seconds / 10)) * 10} s"
    if seconds < 95 * 60:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 1800) / 2:g} h"
