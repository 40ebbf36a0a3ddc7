"""Results to hand on: chosen runs as one file that somebody else can open."""
