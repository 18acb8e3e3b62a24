#!/usr/bin/env python3
"""A stand-in for an embedding server: a test double, never an embedding model.

It answers POST /v1/embeddings like an OpenAI-compatible server, with vectors made from the text by
hash: deterministic, of length 1, and without meaning. It listens on 127.0.0.1 at a free port and
prints that port, alone on a line, before it serves. It ends when its standard input ends, so that
no server outlives the test that started it (--stay: it does not).

What it does wrong is chosen with --mode, or while it runs by POST /standin/mode with the mode's
name as the body:

    same          the vectors of --seed
    near          the same, turned a little (cosine 0.995)
    drift         other vectors under the same names
    down          closes each connection without an answer
    dimension     vectors with one value more
    count         one vector too few
    slow          answers after --delay seconds
    http500       status 500
    garbage       status 200 and a body that is no JSON
    nonfinite     a vector with NaN in it
    redirect      status 302 to itself
    unordered     right vectors, in reverse order with their right indexes

With --api-key, requests without that bearer token get 401.
"""

import argparse
import hashlib
import http.server
import json
import math
import os
import struct
import sys
import threading
import time

MODES = ("same", "near", "drift", "down", "dimension", "count", "slow", "http500", "garbage",
         "nonfinite", "redirect", "unordered")
NEAR_COSINE = 0.995


def unit(values):
    length = math.sqrt(sum(v * v for v in values))
    return [v / length for v in values]


def vector(text, dimension, seed):
    """A unit vector of `dimension` values from the hash of seed and text."""
    values = []
    block = 0
    while len(values) < dimension:
        digest = hashlib.sha256(f"{seed}\0{block}\0{text}".encode()).digest()
        values += [v / 2**31 - 1.0 for v in struct.unpack(">8I", digest)]
        block += 1
    return unit(values[:dimension])


def near(base, text, seed):
    """`base` turned so far that its cosine with the result is NEAR_COSINE."""
    other = vector(text, len(base), f"{seed}-near")
    along = sum(a * b for a, b in zip(base, other))
    across = unit([b - along * a for a, b in zip(base, other)])
    sine = math.sqrt(1 - NEAR_COSINE**2)
    return [NEAR_COSINE * a + sine * c for a, c in zip(base, across)]


class Standin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def answer(self, status, body, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def do_POST(self):
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(min(length, 1 << 20))
        if self.path == "/standin/mode":
            mode = body.decode().strip()
            if mode not in MODES:
                return self.answer(400, b"no such mode\n")
            self.server.mode = mode
            return self.answer(200, b"{}\n")
        return self.embed(body)

    def embed(self, body):
        options = self.server.options
        mode = self.server.mode
        if mode == "down":
            self.close_connection = True
            return None
        if mode == "slow":
            time.sleep(options.delay)
        if options.api_key and self.headers.get("Authorization") != f"Bearer {options.api_key}":
            return self.answer(401, b'{"error": "unauthorized"}\n')
        if mode == "http500":
            return self.answer(500, b'{"error": "broken"}\n')
        if mode == "redirect":
            return self.answer(302, b"", [("Location", self.path)])
        if mode == "garbage":
            return self.answer(200, b"\x00\xff{[ this is no JSON")
        if self.path != "/v1/embeddings":
            return self.answer(404, b"{}\n")
        return self.answer(200, json.dumps(self.embeddings(json.loads(body), mode)).encode())

    def embeddings(self, request, mode):
        options = self.server.options
        dimension = options.dimension + (1 if mode == "dimension" else 0)
        seed = options.seed + ("-drift" if mode == "drift" else "")
        data = []
        for index, text in enumerate(request["input"]):
            values = vector(text, dimension, seed)
            if mode == "near":
                values = near(values, text, seed)
            if mode == "nonfinite" and index == 3:
                values[0] = float("nan")
            data.append({"object": "embedding", "index": index, "embedding": values})
        if mode == "count":
            data.pop()
        if mode == "unordered":
            data.reverse()
        return {"object": "list", "model": request.get("model"), "data": data}


def end_with_stdin():
    while os.read(0, 4096):
        pass
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description="stand-in embedding endpoint (a test double)")
    parser.add_argument("--mode", choices=MODES, default="same")
    parser.add_argument("--dimension", type=int, default=16)
    parser.add_argument("--seed", default="model")
    parser.add_argument("--api-key", default="")
    parser.add_argument("--delay", type=float, default=5.0)
    parser.add_argument("--stay", action="store_true", help="go on when standard input ends")
    options = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Standin)
    server.daemon_threads = True
    server.options = options
    server.mode = options.mode
    print(server.server_address[1], flush=True)
    if not options.stay:
        threading.Thread(target=end_with_stdin, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
