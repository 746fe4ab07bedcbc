"""Deploy bundles: desired and remote state, a plan, its execution."""
