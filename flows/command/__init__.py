"""The `mtanet` command: arguments, printing, progress.

- `cli`: the commands that produce something
- `inspection`: the commands that show or maintain something
- `show`: prints tables and writes query results
- `options`: options shared by several commands
- `doctor`: describes this machine and compares its GPU with its CPU
- `team`: one training by several processes
- `terminal`: progress in the terminal
"""
