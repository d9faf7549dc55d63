"""`surgery operations`, `surgery tasks` and `surgery advisers`: what there is."""

from __future__ import annotations


def operations() -> None:
    """List all operations with their fields and sources."""
    from surgery.show.operations import print_operations

    print_operations()


def tasks() -> None:
    """List all tasks of evaluations with their fields and sources."""
    from surgery.show.operations import print_tasks

    print_tasks()


def advisers() -> None:
    """List all advisers with what they read, their fields and sources."""
    from surgery.show.operations import print_advisers

    print_advisers()
