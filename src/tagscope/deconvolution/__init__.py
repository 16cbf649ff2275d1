"""What spots of several cells are made of."""
