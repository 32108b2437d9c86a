"""Calls a handler as Lambda does: `python native.py HANDLER < event`; the answer goes to standard output."""

import importlib
import json
import os
import sys
from types import SimpleNamespace

sys.path.insert(0, os.path.dirname(sys.argv[1]))
out, sys.stdout = sys.stdout, sys.stderr
handler = importlib.import_module(os.path.basename(sys.argv[1])[:-3]).lambda_handler
# Lambda takes bytes for text.
json.dump(handler(json.load(sys.stdin), SimpleNamespace(aws_request_id="native")), out, default=bytes.decode)
