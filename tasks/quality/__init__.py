"""The quality report.

- `queries`: the SQL behind each finding
- `report`: computes the report of a data set
- `page`: renders it as HTML
"""
