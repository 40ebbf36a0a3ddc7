"""Puzzles and a model to scores, and scores into a store."""
