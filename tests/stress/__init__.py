"""Random clients against a sanitized server: `python -m stress`, which `make stress` calls.

A *run* is one server process with its options; a run is made of *scenes*, a few clients each, whose steps are
interleaved. Everything is drawn from the run's seed, which is printed: the same seed makes the same server, the same
clients and the same order of their steps. What the kernel and the machine's load add is all that differs.
"""
