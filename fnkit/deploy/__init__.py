"""Deploy bundles: desired and remote state, a plan, its execution. See DESIGN.md.

The names below are imported when they are first used: a call of a deployed function needs neither bundles nor plans.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_HOMES = {
    "cloud": ("Cloud",),
    "deployment": ("Deployed", "Prepared", "carry_out", "prepare"),
    "executor": ("Reports",),
    "planner": ("DeployPlan", "plan"),
    "state": ("Account", "RemoteFunction", "RemoteState", "Wanted"),
    "wanted": ("Wishes", "find_warnings", "want"),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'fnkit.deploy' has no attribute {name!r}")
    value: object = getattr(import_module(f"fnkit.deploy.{module}"), name)
    globals()[name] = value
    return value
