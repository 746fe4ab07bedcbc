"""Benchmarks: ratios against the plain limit and against peers, interleaved, medians. Never part of the tests."""
