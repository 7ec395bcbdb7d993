"""A process that tells of one alert and ends when everybody was told: for tests that kill it.

Arguments: an ``alertmanager.yml``, the state's file, and the time in milliseconds.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from mirante.server.alert import Alert
from mirante.server.notify.config import read_config
from mirante.server.notify.delivery import Delivery
from mirante.server.notify.dispatcher import Dispatcher
from mirante.server.notify.state import State
from mirante.server.notify.templates import Templates


async def main(config_path: str, state_path: str, now: int) -> None:
    """Tell, and print how many notifications are settled, whenever that changes."""
    config, state = read_config(Path(config_path)), State(Path(state_path))
    dispatcher = Dispatcher(config, state, now)
    dispatcher.put([Alert({"alertname": "Down"}, {}, now, now + 3_600_000, now)], now)
    dispatcher.tick(now + 1000)
    delivery = Delivery(state, Delivery.prepare(config, Templates((), "http://mirante.example")))
    delivery.start()
    last = -1
    while state.next_at() is not None:
        settled = sum(one.settled_at is not None for one in state.history())
        if settled != last:
            print(settled, flush=True)  # noqa: T201 - what the test waits for
            last = settled
        await asyncio.sleep(0.01)
    await delivery.stop()
    state.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
