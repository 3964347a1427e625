"""Measuring: a server under one load, its CPU time and memory, and what rounds of it say beside an earlier result."""
