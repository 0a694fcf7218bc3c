"""Build the compiled extensions of ``kubesim/_core``; everything else is declared in pyproject.toml.

``KUBESIM_DEBUG=1`` builds with every Cython check and C assertion on (``make debug``); the tests run on that build too. ``KUBESIM_BUILT=1``
leaves the extensions as they stand: the Makefile builds them once, in place, and then only has the package linked.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("KUBESIM_DEBUG") == "1"
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
    "overflowcheck": DEBUG,
    "cdivision": not DEBUG,
    "embedsignature": True,
}
COMPILE_ARGS = ["-O1", "-g", "-UNDEBUG", "-ffp-contract=off"] if DEBUG else ["-O3", "-fno-plt", "-ffp-contract=off"]

extensions = [
    Extension(f"kubesim._core.{path.stem}", [str(path)], extra_compile_args=COMPILE_ARGS)
    for path in sorted(Path("kubesim/_core").glob("*.pyx"))
]

if os.environ.get("KUBESIM_BUILT") == "1":
    setup()
else:
    setup(ext_modules=cythonize(extensions, nthreads=os.cpu_count() or 1, compiler_directives=DIRECTIVES, force="--force" in sys.argv))
