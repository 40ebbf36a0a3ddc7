"""How a head's queries and keys can be read: the kinds of QK-score."""

# As people say it. Raw is what the projections give; before rotary position embedding is after
# QK-norm, which few models have: where there is none the two are the same.
READINGS = {"raw": "raw projections", "pre": "before rotary", "post": "after rotary"}
ROPES = tuple(READINGS)
