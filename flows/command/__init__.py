"""The `mtanet` command: arguments, printing, progress.

- `cli`: the commands that produce results
- `comparing`: the commands that compare
- `inspection`: the commands that show or maintain results
- `again`: repeats the answer of a command for which nothing is new
- `interrupt`: ends a command on Ctrl-C and other signals
- `show`: prints scores and writes query results
- `table`: prints the answer to a query for a person
- `options`: options shared by several commands
- `doctor`: describes this machine and checks its GPU against its CPU
- `terminal`: progress in the terminal, and training with several processes
"""
