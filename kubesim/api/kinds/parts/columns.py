"""Columns that most kinds have."""

from kubesim.api.kinds.contract import Column
from kubesim.api.kinds.parts.table import age_cell, name_cell

NAME = Column("Name", "string", name_cell, format="name")
AGE = Column("Age", "string", age_cell)
NAME_AND_AGE = (NAME, Column("Created At", "date", lambda obj, now_ns: obj["metadata"].get("creationTimestamp")))
