"""CustomResourceDefinitions: what a definition means for the objects of its kind. Pure functions of the definition.

``structure`` checks a schema, ``definitions`` makes it known to the schema tables (unknown fields, server-side apply), ``defaults`` and
``values`` default and validate objects, ``paths`` reads simple JSON paths, ``custom_kind`` makes the ``Kind`` that the registry serves.
"""
