"""From placed programs to kernels, and the emitters that write them out."""
