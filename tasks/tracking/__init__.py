"""MLflow.

- `runs`: opens runs and logs to them
- `registry`: registered versions and aliases
- `naming`: names of runs and tags
- `views`: what MLflow's pages show
"""
