"""The kinds of faults, a module per thing that fails; each exports ``FAULTS``."""
