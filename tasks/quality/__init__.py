"""The quality report.

- `kinds`: what each kind of finding means
- `queries`: the SQL behind each finding
- `report`: computes the report of a data set
- `page`: renders it as HTML
"""
