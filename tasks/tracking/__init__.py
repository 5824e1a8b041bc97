"""MLflow.

- `runs`: opens runs and logs to them
- `registry`: registered versions and aliases
- `serving`: the model as MLflow keeps it
- `naming`: names of runs and tags
- `views`: what MLflow's pages show
"""
