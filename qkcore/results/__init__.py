"""The store of results: written from finished parts, read by question. Needs no torch."""
