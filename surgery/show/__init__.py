"""Graphs, figures and operations as text and HTML for people and other programs."""
