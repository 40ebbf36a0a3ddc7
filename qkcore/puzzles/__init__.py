"""Puzzles, and what can be said of them without a model: their file, logic and surface."""
