"""Field management: who owns which fields of an object, and what a server-side apply makes of it.

``paths`` are sets of field paths and their FieldsV1 form, ``typed`` walks values by their schema (sets, comparisons, merges, removals),
``ownership`` holds the rules of structured-merge-diff for updates and applies, ``entries`` the form of ``metadata.managedFields``.

Upstream: sigs.k8s.io/structured-merge-diff/v6 and apimachinery/pkg/util/managedfields.
"""
