"""`python -m flows` is the `mtanet` command."""

from flows.command.cli import main

main()
