"""CEL, the expression language of device selectors, CRD validation and admission policies; a room-neutral part of the vocabulary.

    program = cel.compile_expression('device.attributes["gpu.example.com"].memory >= 8', ["device"])
    program.evaluate({"device": {...}})          # JSON-shaped values in, a value out; CelError with cel-go's words

Rejected: the libraries of PyPI. Google's binding of cel-cpp has no values of one's own (quantity, semver are "unimplemented"), and its
errors read otherwise than cel-go's, which are part of messages here; the pure ones need re2 and a grammar engine. Google's is the oracle of
the tests where it is installed.
"""

from kubesim.api.cel.errors import CelError, CompileError
from kubesim.api.cel.evaluation import Program, compile_expression
from kubesim.api.cel.values import type_of

__all__ = ["CelError", "CompileError", "Program", "compile_expression", "type_of"]
