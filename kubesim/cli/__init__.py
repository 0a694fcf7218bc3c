"""The command ``kubesim``."""
