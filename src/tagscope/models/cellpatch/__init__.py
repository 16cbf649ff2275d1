"""CellPatch: genes of a cell gathered into a few patches, pretrained by telling hidden genes."""
