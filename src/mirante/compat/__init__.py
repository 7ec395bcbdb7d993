"""Faces of other libraries over mirante's own parts, for code that moves by changing an import."""
