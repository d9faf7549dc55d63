"""Graphs, figures and operations as text and HTML for people and other programs."""

from surgery.show.formats import graph_json, refuse_mixed, written
from surgery.show.html import change_html, tree_html
from surgery.show.operations import print_operations, print_tasks
from surgery.show.tree import print_tree

__all__ = [
    "change_html",
    "graph_json",
    "print_operations",
    "print_tasks",
    "print_tree",
    "refuse_mixed",
    "tree_html",
    "written",
]
