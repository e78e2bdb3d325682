"""Uses the compiled core of `osstorchconnector` on one bucket and prints what it saw as JSON: a process of its own,
because the core wants virtual-host addressing and resolves names itself (see test_connector.py).

    connector_session.py ENDPOINT REGION BUCKET CREDENTIALS_FILE CONFIGURATION_FILE
"""

import hashlib
import importlib
import importlib.util
import json
import os
import sys
import types

# The package's own `__init__` imports PyTorch, which nothing here needs: only the compiled part is loaded.
package = types.ModuleType("osstorchconnector")
package.__path__ = list(importlib.util.find_spec("osstorchconnector").submodule_search_locations)
sys.modules["osstorchconnector"] = package
core = importlib.import_module("osstorchconnector._oss_connector")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


endpoint, region, bucket, credentials, configuration = sys.argv[1:]
data = core.new_oss_dataset(endpoint, credentials, None, configuration, "tests", 0, 1, region)
seen = {}

seen["listed"] = [[o.key, o.size] for o in data.list(bucket, "data/")]
seen["preloaded"] = [[o.key, digest(o.read(o.size))] for o in data.list_with_preload(bucket, "data/small/", False)]

size = seen["size"] = data.stat(bucket, "data/large").size
whole = data.open_ro(bucket, "data/large", size, 0, "")
seen["whole"] = digest(whole.read(size))
assert whole.seek(1_000_003, os.SEEK_SET) == 1_000_003
buffer = bytearray(500_000)
assert whole.readinto(buffer) == len(buffer)
seen["slice"] = digest(bytes(buffer))
whole.close()

mapped = data.open_ro(bucket, "data/large", size, 1, "")
seen["mapped"] = digest(mapped.read(size))
mapped.close()

writer = data.open_wo(bucket, "written/by connector")
assert writer.write(b"one ") == 4
assert writer.write(b"two") == 3
writer.close()
seen["stat"] = data.stat(bucket, "written/by connector").size
data.rename(bucket, "written/by connector", bucket, "written/renamed ü")
data.remove(bucket, "data/large")

print(json.dumps(seen), flush=True)
# The core's threads do not survive an orderly interpreter exit everywhere; everything is said.
os._exit(0)
