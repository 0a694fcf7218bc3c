"""The functions and methods of CEL: the standard ones, cel-go's extensions for texts, lists and optionals, and Kubernetes' libraries.

Each module enters its own in the tables of ``table``. Upstream: cel-spec langdef.md, cel-go ext, apiserver/pkg/cel/library.
"""

from kubesim.api.cel import authorizer, conversions, lists, network, operators, texts, times, versions
from kubesim.api.cel.table import FUNCTIONS, METHODS

MODULES = (operators, conversions, texts, lists, times, versions, network, authorizer)  # imported for what they enter

__all__ = ["FUNCTIONS", "METHODS", "MODULES"]
