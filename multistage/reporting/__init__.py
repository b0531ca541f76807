"""Tables, plots, the answer, model cards: what people read."""
