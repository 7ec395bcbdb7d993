"""``python -m mirante`` is the ``mirante`` command."""

from mirante.cli.main import main

main()
