"""The vocabulary that compiler and emulator share: IR dialects and chip facts."""
