"""Tidy frame in, Altair chart out."""
