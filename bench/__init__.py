"""Benchmarks: CPU time per request of fastserve, its peers and a floor, under the same load in one run.

The data are beside this file: scenarios, servers, their duties, and sets of scenarios. plan.py reads them and
process.py starts servers; on these two stand loads, then measure, then field and profile.
"""
