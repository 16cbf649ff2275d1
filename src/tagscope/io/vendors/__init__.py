"""Output folders of the machines' vendors, read into SpatialData in memory, everything in µm."""
