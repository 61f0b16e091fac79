"""Arithmetic of a Tensix core: formats, matrix unit, packer and vector unit."""
