"""Spatial domains: features of cells and their surroundings, clusters, outlines, boundaries."""
