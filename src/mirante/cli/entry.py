"""What the ``mirante`` command starts: says what to install where the server's packages are missing."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command line, or exit with 1 and one line where it cannot be loaded."""
    if sys.argv[1:2] == ["run"]:  # the one verb that needs the SDK alone
        from mirante.cli.run import main as run_program

        run_program(sys.argv[2:])
    try:
        from mirante.cli.main import main
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "mirante":
            raise
        sys.stderr.write(f'mirante: {error.name} is not installed; the command needs: pip install "mirante[server]"\n')
        sys.exit(1)
    main()
