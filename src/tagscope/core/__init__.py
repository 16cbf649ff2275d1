"""Central types: what a section, a panel, a label set and a result are."""
