"""MLflow.

- `runs`: opens runs and logs to them
- `registry`: registered versions and aliases
- `artifacts`: where MLflow's files lie
- `naming`: names of runs and tags
- `views`: what MLflow's pages show
"""
