"""The shop's application: products from the database through the cache, and orders."""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import postgres
import redis

CACHE = os.environ["CACHE_HOST"]
CACHED_SECONDS = 30


def database():
    password = Path(os.environ["DATABASE_PASSWORD_FILE"]).read_text().strip()
    host, user = os.environ["DATABASE_HOST"], os.environ["DATABASE_USER"]
    return postgres.Connection(host, user, password, os.environ["DATABASE_NAME"])


def query(statement, *values):
    connection = database()
    try:
        return connection.query(statement, *values)
    finally:
        connection.close()


def products():
    cached = redis.command(CACHE, "GET", "products")
    if cached:
        return {"from": "cache", "products": json.loads(cached)}
    rows = query("SELECT id, name, cents FROM products ORDER BY id")
    found = [{"id": int(i), "name": name, "cents": int(cents)} for i, name, cents in rows]
    redis.command(CACHE, "SET", "products", json.dumps(found), "EX", CACHED_SECONDS)
    return {"from": "database", "products": found}


def orders():
    rows = query("SELECT id, product FROM orders ORDER BY id")
    return [{"id": int(i), "product": int(product)} for i, product in rows]


def place(order):
    product = int(order["product"])
    ((number,),) = query("INSERT INTO orders (product) VALUES ($1) RETURNING id", product)
    return {"id": int(number), "product": product}


def health():
    query("SELECT 1")
    return {"database": "ok", "cache": redis.command(CACHE, "PING")}


class Handler(BaseHTTPRequestHandler):
    GET = {"/products": products, "/orders": orders, "/health": health}

    def do_GET(self):
        act = self.GET.get(self.path)
        self.reply(200, act) if act else self.reply(404, lambda: {"error": "not found"})

    def do_POST(self):
        if self.path != "/orders":
            return self.reply(404, lambda: {"error": "not found"})
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.reply(201, lambda: place(json.loads(body)))

    def reply(self, status, act):
        try:
            body = act()
        except (KeyError, ValueError) as error:
            status, body = 400, {"error": f"not an order: {error}"}
        except (OSError, postgres.DatabaseError) as error:
            status, body = 503, {"error": str(error)}
        data = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("listening on port 8000")
    ThreadingHTTPServer(("", 8000), Handler).serve_forever()
