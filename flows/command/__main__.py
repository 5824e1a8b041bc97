"""`python -m flows.command` is the `mtanet` command."""

from flows.command.cli import main

main()
