"""Masters: built or imported, sealed, catalogued and verified."""
