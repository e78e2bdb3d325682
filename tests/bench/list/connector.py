"""Lists a bucket once with the compiled core of `osstorchconnector`, and prints how many objects came in how many
seconds as JSON on the last line.

    connector.py ENDPOINT REGION BUCKET CREDENTIALS_FILE CONFIGURATION_FILE
"""

import importlib
import importlib.util
import json
import os
import sys
import time
import types

# The package's own `__init__` imports PyTorch, which nothing here needs: only the compiled part is loaded.
package = types.ModuleType("osstorchconnector")
package.__path__ = list(importlib.util.find_spec("osstorchconnector").submodule_search_locations)
sys.modules["osstorchconnector"] = package
core = importlib.import_module("osstorchconnector._oss_connector")

endpoint, region, bucket, credentials, configuration = sys.argv[1:]
data = core.new_oss_dataset(endpoint, credentials, None, configuration, "bench", 0, 1, region)
started = time.monotonic()
entries = sum(1 for _ in data.list(bucket, ""))
print(json.dumps({"entries": entries, "seconds": time.monotonic() - started}), flush=True)
# The core's threads do not survive an orderly interpreter exit everywhere; everything is said.
os._exit(0)
