"""Statistics of right and wrong: counts and choices in, shares, intervals and tests out."""
