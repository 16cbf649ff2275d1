"""CellPatch and STAGATE joined: patches of a cell's genes, coded with those of its neighbours."""
