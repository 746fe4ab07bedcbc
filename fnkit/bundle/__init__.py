"""Bundles: which files, which wheels, the deterministic zip."""

from __future__ import annotations

from fnkit.bundle.build import Options, build
from fnkit.bundle.model import MAX_DIRECT_UPLOAD, MAX_UNZIPPED, Build, Bundle, BundlePlan
from fnkit.bundle.plan import plan_bundles
from fnkit.bundle.read import BundleHead, is_build_folder, read_bundles, read_head, verify_bundle
from fnkit.bundle.write import write_bundles

__all__ = [
    "MAX_DIRECT_UPLOAD",
    "MAX_UNZIPPED",
    "Build",
    "Bundle",
    "BundleHead",
    "BundlePlan",
    "Options",
    "build",
    "is_build_folder",
    "plan_bundles",
    "read_bundles",
    "read_head",
    "verify_bundle",
    "write_bundles",
]
