"""Benchmarks: our kernels beside a reference, in one run."""
