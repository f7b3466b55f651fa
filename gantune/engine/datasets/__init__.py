"""Loaders of data sets, by where the data comes from."""
