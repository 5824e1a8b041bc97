"""`python -m flows` is the `mtanet` command."""

from flows.cli import main

main()
