"""One report a run, as a file: what is in it, and how it is written."""
