"""How a head's queries and keys can be read: the kinds of QK-score."""

READINGS = {"pre": "before rotary", "post": "after rotary"}  # position embedding, as people say it
ROPES = tuple(READINGS)
