"""Imported before nbformat, this saves every process about three seconds.

nbformat checks notebooks with jsonschema, and jsonschema compiles a grammar of web addresses wherever the package
rfc3987_syntax is installed, as Jupyter's server asks for it. No notebook holds a value of that format.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)
