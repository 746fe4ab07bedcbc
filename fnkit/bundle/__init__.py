"""Bundles: which files, which wheels, the deterministic zip."""
