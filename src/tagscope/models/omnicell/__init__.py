"""OmniCell: one transformer for dissociated cells and cells read with their neighbours."""
