"""What schemathesis does not know by itself: lines of JSON, and that nothing but a few doors is open to strangers."""

import json

import schemathesis

OPEN = {"/healthz", "/readyz", "/openapi.json", "/v1/me"}
# Not known; too many strangers; or not even a request.
CLOSED = {400, 401, 403, 405, 413, 429}


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.check
def nothing_without_a_key(ctx, response, case):
    if case.operation.path not in OPEN and response.status_code not in CLOSED:
        raise AssertionError(f"a stranger was answered {response.status_code}")
