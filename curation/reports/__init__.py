"""What the report pages show, read from finished measurements: sentences, rows, and the geometry of their charts."""
