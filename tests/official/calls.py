"""Run by the Python of the official client: each line of standard input is a call, each line out its answer.

In: ``{"domain", "key", "secret"}``, then ``{"path", "params", "version", "token"?, "id"?, "headers"?}``.
Out: ``{"status", "headers", "body"}``. The client is the package from the index as it is.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def main() -> None:
    models: Any = importlib.import_module("alibabacloud_iot_api_gateway.models")
    options: Any = importlib.import_module("alibabacloud_tea_util.models")
    client: Any = importlib.import_module("alibabacloud_iot_api_gateway.client")
    place = json.loads(sys.stdin.readline())
    config = models.Config(
        domain=place["domain"], protocol="http", app_key=place["key"], app_secret=place["secret"]
    )
    caller = client.Client(config)
    for line in sys.stdin:
        asked = json.loads(line)
        request = models.IoTApiRequest(
            id=asked.get("id"),
            version="1.0",
            params=asked["params"],
            request=models.CommonParams(api_ver=asked["version"], iot_token=asked.get("token")),
        )
        runtime = options.RuntimeOptions(autoretry=False)
        told = caller.do_request(asked["path"], "http", "POST", asked.get("headers"), request, runtime)
        body = told.body.decode() if isinstance(told.body, bytes) else told.body
        answer = {"status": told.status_code, "headers": dict(told.headers), "body": body}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
