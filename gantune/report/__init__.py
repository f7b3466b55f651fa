"""Runs as one page to look at: records from the tables, drawings of the records, the page."""
