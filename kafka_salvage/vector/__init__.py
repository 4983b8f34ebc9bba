"""Computes on arrays: the only Numba; no objects."""
