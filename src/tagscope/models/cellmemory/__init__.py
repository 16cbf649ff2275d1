"""CellMemory: cell types from a memory the genes compete for, and what they attended to."""
