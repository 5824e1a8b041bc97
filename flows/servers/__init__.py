"""Prefect, MLflow and the worker.

- `environment`: finds the servers and sets the environment of a run
- `server`: runs a Prefect server for a single command
- `bring_up`: registers the deployments once the servers answer
- `records`: marks the runs of killed commands as crashed
- `up`: runs all servers until the user stops them
- `guard`: their parent, which ends with `up` and takes all of them with it
"""
