"""What each panel does, without Qt or napari: an evented state and the actions that change it."""
