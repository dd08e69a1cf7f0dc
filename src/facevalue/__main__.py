"""``python -m facevalue``, and the entry point of the command ``facevalue``."""

import signal
import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still being imported ends the process without a traceback."""
    handled = signal.getsignal(signal.SIGINT)
    if handled is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from facevalue.cli import main as command_line

    if handled is signal.default_int_handler:
        signal.signal(signal.SIGINT, handled)
    try:
        command_line()
    except KeyboardInterrupt:  # before the command line could catch it
        sys.exit(130)


if __name__ == "__main__":
    main()
