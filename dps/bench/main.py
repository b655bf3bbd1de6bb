"""The command `dps-bench`."""

from dps import ending, signals


def command() -> None:
    """`main`, as a process of its own."""
    ending.ended(main)


def main() -> None:
    """Run the command line; a failure prints one sentence (HYDRA_FULL_ERROR=1: the traceback) and exits with 1."""
    with signals.stopping("dps-bench"):
        from dps.bench.job import run_command_line

        run_command_line()


if __name__ == "__main__":
    command()
