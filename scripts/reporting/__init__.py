"""What people read: HTML pages in one style, model cards, training curves."""
