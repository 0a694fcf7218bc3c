"""Admission that users configure: admission policies in CEL, and webhooks. Asked after the built-in plugins, in upstream's order:
mutating policies, mutating webhooks, then, of the object as it would be stored, validating policies and validating webhooks.

Nothing here runs, and nothing is looked up, as long as no policy and no webhook is configured.
"""
