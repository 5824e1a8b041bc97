"""The `mtanet` command, also as `python -m flows.command`."""

from __future__ import annotations

from flows.command import interrupt


def main() -> None:
    """Runs the command; a signal ends it as `flows.command.interrupt` says."""
    try:
        interrupt.listen()
        from flows.command.cli import run_command  # takes a moment, in which Ctrl-C is already heard

        run_command()
    except BaseException:
        if interrupt.is_interrupted():
            interrupt.end()
        raise


if __name__ == "__main__":
    main()
