"""Prefect, MLflow and the worker.

- `environment`: finds the servers and sets the environment of a run
- `server`: runs Prefect's server for a single command
- `bring_up`: registers deployments once the servers answer
- `up`: runs all servers until the user ends them
"""
