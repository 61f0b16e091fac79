"""The emulator: loads a netlist, computes its numbers and its cycles."""
