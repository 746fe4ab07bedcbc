"""Deploy bundles: desired and remote state, a plan, its execution. See DESIGN.md."""

from __future__ import annotations

from fnkit.deploy.cloud import Cloud
from fnkit.deploy.deployment import Deployed, Prepared, carry_out, prepare
from fnkit.deploy.executor import Reports
from fnkit.deploy.planner import DeployPlan, plan
from fnkit.deploy.state import Account, RemoteFunction, RemoteState, Wanted
from fnkit.deploy.wanted import Wishes, find_warnings, want

__all__ = [
    "Account",
    "Cloud",
    "DeployPlan",
    "Deployed",
    "Prepared",
    "RemoteFunction",
    "RemoteState",
    "Reports",
    "Wanted",
    "Wishes",
    "carry_out",
    "find_warnings",
    "plan",
    "prepare",
    "want",
]
