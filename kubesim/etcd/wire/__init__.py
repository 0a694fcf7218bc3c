"""etcd's messages on the wire: a table of their fields, protobuf bytes and the JSON of its gateway. Pure; no generated code.

``table`` the facts · ``schema`` the table read · ``codec`` bytes · ``json_text`` JSON.

A message is a dict of its fields that are not at their default, by etcd's names. A key-value may also be a record of the store.
"""
