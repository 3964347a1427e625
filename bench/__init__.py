"""Benchmarks: CPU time per request of fastserve, its peers and a floor, under the same load in one run."""
