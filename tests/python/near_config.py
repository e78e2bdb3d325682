"""The configuration of near caches, as the image of nginx makes it."""

import re
import subprocess


def nginx_takes(config, variables, folder):
    """Fills in the variables of a container, which must be those that the configuration names, and has nginx check it."""
    named = set(re.findall(r"\$\{(NEAR_[A-Z]+)\}", config))
    assert named == {name for name in variables if re.match(variables["NGINX_ENVSUBST_FILTER"], name)}
    # Names of the service are not looked up here.
    variables = variables | {"NEAR_DIR": str(folder), "NEAR_CONF": str(folder), "NEAR_ENDPOINT": "127.0.0.1:443"}
    for name in named:
        config = config.replace("${" + name + "}", variables[name])
    (folder / "nginx.conf").write_text(config)
    command = ["nginx", "-t", "-c", str(folder / "nginx.conf"), "-e", "stderr", "-g", f"lock_file {folder}/lock;"]
    subprocess.run(command, check=True, timeout=60)
