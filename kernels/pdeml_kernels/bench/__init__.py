"""Time, memory and errors of every operator against what else computes it: ``python -m pdeml_kernels.bench``."""
