"""Ask the model server of this machine whether it is up, whose model it is, and for one token if so wished.

Input: one line of JSON {"port", "model": the name that clients use, "complete": whether a token is wanted, "seconds": how
long each answer may take}.
Output: one JSON document {"listens", "health", "models", "token"}: whether anybody takes connections on the port, the
status of /health or null, the names that /v1/models lists or null, and of the token null (not asked for), true, or why
there was none. Nobody is asked through a proxy. Standard library only, Python 3.8 or newer.
"""

import json
import socket
import sys
import urllib.error
import urllib.request

MOST_BYTES = 1 << 20
MOST_WORDS = 300

order = json.loads(sys.stdin.readline())
base = "http://127.0.0.1:{}".format(order["port"])
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def listens():
    try:
        with socket.create_connection(("127.0.0.1", order["port"]), order["seconds"]):
            return True
    except OSError:
        return False


def ask(path, body=None):
    """(status or None, what was said, or why nothing was)."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, {"Content-Type": "application/json"})
    try:
        with opener.open(request, timeout=order["seconds"]) as answer:
            return answer.status, answer.read(MOST_BYTES)
    except urllib.error.HTTPError as error:
        return error.code, error.read(MOST_BYTES)
    # http.client has errors that are no OSError, of answers that are no HTTP.
    except Exception as error:
        return None, str(error).encode()


def models():
    status, said = ask("/v1/models")
    try:
        return [str(model["id"]) for model in json.loads(said)["data"]] if status == 200 else None
    except (ValueError, KeyError, TypeError):
        return None


def token():
    one = {"model": order["model"], "max_tokens": 1, "temperature": 0}
    status, said = ask("/v1/completions", {"prompt": "Hi", **one})
    if status in (404, 405):
        # A model that only chats.
        status, said = ask("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], **one})
    words = said.decode("utf-8", "replace")[:MOST_WORDS]
    try:
        answered = bool(json.loads(said)["choices"])
    except (ValueError, KeyError, TypeError):
        answered = False
    if status == 200 and answered:
        return True
    return words if status is None else "status {}: {}".format(status, words)


taken = listens()
health = ask("/health")[0] if taken else None
json.dump(
    {
        "listens": taken,
        "health": health,
        "models": models() if taken else None,
        "token": token() if taken and order["complete"] else None,
    },
    sys.stdout,
)
