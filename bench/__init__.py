"""Measurements, which assert nothing: `make bench`."""
