"""Predictions beside published measurements of real chips: `forge bench silicon`.

One module for each family of measurements; `families` is the table of them.
"""
