"""When to scrape: every target has its own place in the interval, the same after every restart.

Source: Prometheus, ``Target.offset`` and the aligned timestamps of its scrape loop. Times are nanoseconds.
"""

from __future__ import annotations

_TOLERANCE_NS = 2_000_000


def next_slot(now: int, interval: int, place: int) -> int:
    """The first time after ``now`` that is ``place`` past a multiple of the interval.

    Example:
        >>> next_slot(now=1_000, interval=100, place=30), next_slot(now=1_030, interval=100, place=30)
        (1030, 1130)
    """
    return now - (now - place) % interval + interval


def scrape_time(now: int, slot: int, interval: int) -> int:
    """The timestamp of a scrape that started at ``now``: the slot itself when that is at most 2 ms ago.

    Samples that are the same distance apart compress best.

    Example:
        >>> scrape_time(1_001_500_000, slot=1_000_000_000, interval=15_000_000_000)
        1000000000
    """
    return slot if 0 <= now - slot <= min(_TOLERANCE_NS, interval // 100) else now
