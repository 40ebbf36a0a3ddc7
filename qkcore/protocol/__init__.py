"""A frozen protocol carried out on any model, and what the paper claims beside what was found."""
