"""The tests; a package, so that it wins over the `tests` that xDSL installs."""
