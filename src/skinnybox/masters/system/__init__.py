"""What a sealed tree consists of beside its paths: packages, accounts, units (see values)."""
