"""Training on labelled references."""
