"""Tasks that start by themselves: which entries there are, what is due, and the firing, which any worker's sweep does.

 entry.py (what there is) ─► when.py (its times) ─► due.py (what of them now) ─► firing.py (once, as a run)

`outlook.py` is what people are told of it. Nothing here knows an engine: Celery's edge registers its entries.
"""
