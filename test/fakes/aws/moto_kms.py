"""Serves moto's KMS on a free port of 127.0.0.1 until standard input ends.

Reads one line of JSON, {"account", "region", "keys": [{"id", "material"}]} with the material in base64, makes those keys,
and writes {"port"} as one line.
"""
import base64
import json
import logging
import sys

from moto.kms.models import kms_backends
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
request = json.loads(sys.stdin.readline())
backend = kms_backends[request["account"]][request["region"]]
for wanted in request["keys"]:
    made = backend.create_key(None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "", [])
    del backend.keys[made.id]
    made.id = wanted["id"]
    made.arn = f"arn:aws:kms:{request['region']}:{request['account']}:key/{wanted['id']}"
    made.key_material = base64.b64decode(wanted["material"])
    backend.keys[made.id] = made

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(json.dumps({"port": server.get_host_and_port()[1]}), flush=True)
sys.stdin.read()
server.stop()
