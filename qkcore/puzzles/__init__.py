"""Puzzles, and what can be said of them without any model: their file, their logic, their surface."""
