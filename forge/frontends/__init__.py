"""Ways into forge: each turns a model of some framework into a `ttir` module."""
