"""The command `dps`."""

from dps import ending, signals


def command() -> None:
    """`main`, as a process of its own."""
    ending.ended(main)


def main() -> None:
    """Run the command line; a failure prints one sentence (HYDRA_FULL_ERROR=1: the traceback) and exits with 1.

    Ctrl-C, SIGTERM and SIGUSR1 end it as dps.signals says, from the first imports on.
    """
    with signals.stopping("dps"):
        from dps.job import run_command_line

        run_command_line()


if __name__ == "__main__":
    command()
