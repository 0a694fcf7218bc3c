"""A public kit for tests of and with kubesim: builders of objects, invariants of a cluster, hypothesis strategies, text scripts."""
