"""How long an answer about 50 components takes of which 5 hang, and what asking costs.

    python benchmarks/bench_health.py [--calls 100]

Each case asks all of them again and again. "Async" are coroutine functions; the last column is the greatest number of
threads that the process had meanwhile, the benchmark's own among them. Idle is the CPU time of a process that does
nothing but refresh 50 checks in the background, each every 10 seconds, and of asking for what is known then.
"""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from collections.abc import Callable

from mirante.health import HealthChecker

COMPONENTS, HANGING = 50, 5
IDLE_SECONDS = 10.0
Ask = Callable[[HealthChecker], float]


def checker(*, coroutines: bool, hanging: int = HANGING, interval: float | None = None) -> HealthChecker:
    """50 checks of which the last hang for an hour."""
    health = HealthChecker()
    never = threading.Event()
    for number in range(COMPONENTS):
        hangs = number >= COMPONENTS - hanging

        def plain(hangs: bool = hangs) -> bool:
            return not hangs or never.wait(3600)

        async def coroutine(hangs: bool = hangs) -> bool:
            await asyncio.sleep(3600 if hangs else 0)
            return True

        health.check(f"c{number}", timeout=3600, interval=interval)(coroutine if coroutines else plain)
    return health


def timed(ask: Callable[[HealthChecker], object], health: HealthChecker) -> float:
    begun = time.perf_counter()
    ask(health)
    return time.perf_counter() - begun


def from_outside(health: HealthChecker, calls: int) -> list[float]:
    """A plain caller."""
    return [timed(HealthChecker.check_all, health) for _ in range(calls)]


def from_inside(health: HealthChecker, calls: int) -> list[float]:
    """A plain caller on a running event loop, which therefore stands still."""

    async def ask() -> list[float]:
        return [timed(HealthChecker.check_all, health) for _ in range(calls)]

    return asyncio.run(ask())


def awaited(health: HealthChecker, calls: int) -> list[float]:
    """An asynchronous caller."""

    async def ask() -> list[float]:
        taken = []
        for _ in range(calls):
            begun = time.perf_counter()
            await health.acheck_all()
            taken.append(time.perf_counter() - begun)
        return taken

    return asyncio.run(ask())


def idle() -> tuple[float, float]:
    """The share of a core that refreshing takes, and milliseconds of an answer from what is known."""
    health = checker(coroutines=False, hanging=0, interval=10.0)
    health.check_all()
    begun, used = time.perf_counter(), time.process_time()
    time.sleep(IDLE_SECONDS)
    share = (time.process_time() - used) / (time.perf_counter() - begun)
    answers = sorted(timed(HealthChecker.check_all, health) for _ in range(200))
    health.close()
    return share, answers[100] * 1e3


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--calls", type=int, default=100)
    calls = options.parse_args().calls
    print(f"{COMPONENTS} checks, {HANGING} hang; milliseconds an answer (promised: under 100)")
    print(f"{'':44} {'p50':>7} {'p99':>7} {'max':>7} {'threads':>8} {'CPU ms':>7}")
    for kind, coroutines in (("plain checks", False), ("async checks", True)):
        for caller, ask in (
            ("plain caller", from_outside),
            ("plain caller inside a loop", from_inside),
            ("async caller", awaited),
        ):
            health = checker(coroutines=coroutines)
            used = time.process_time()
            taken = sorted(ask(health, calls))
            cpu = (time.process_time() - used) / calls * 1e3
            p50, p99, worst = (taken[min(calls - 1, int(calls * share))] * 1e3 for share in (0.5, 0.99, 1.0))
            print(
                f"{f'{kind}, {caller}':44} {p50:7.1f} {p99:7.1f} {worst:7.1f} {threading.active_count():8} {cpu:7.2f}",
                flush=True,
            )
    share, answer = idle()
    print(f"refreshing in the background takes {share * 100:.2f} % of a core; an answer then takes {answer:.2f} ms")


if __name__ == "__main__":
    main()
