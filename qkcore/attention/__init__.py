"""A model's attention from outside: loaded, vouched for, and read in one pass."""
