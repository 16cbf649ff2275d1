"""STAGATE: cells embedded with attention to their neighbours in the tissue."""
