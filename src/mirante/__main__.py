"""``python -m mirante`` is the ``mirante`` command."""

from mirante.cli.entry import run

run()
