"""`python -m fnkit` is the fnkit command."""

from fnkit.cli import main

main()
