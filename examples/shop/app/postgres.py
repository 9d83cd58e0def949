"""A PostgreSQL client in the standard library's terms: SCRAM login and one statement at a time.

A real application installs psycopg; this one must run on the plain image.
"""

import base64
import hashlib
import hmac
import secrets
import socket
import struct


class DatabaseError(Exception):
    """What the server refused, in its own words."""


class Connection:
    """One session; not for use by two threads at once."""

    def __init__(self, host, user, password, database, port=5432):
        self.stream = socket.create_connection((host, port), timeout=10).makefile("rwb")
        options = f"user\0{user}\0database\0{database}\0\0".encode()
        self.stream.write(struct.pack("!II", len(options) + 8, 196608) + options)
        self.stream.flush()
        self._authenticate(password)
        self._until_ready()

    def query(self, statement, *values):
        """Runs one statement with `$1`, `$2`, … and returns its rows as tuples of text."""
        bound = b"".join(_length_first(str(value).encode()) for value in values)
        self._send(b"P", b"\0" + statement.encode() + b"\0" + struct.pack("!H", 0))
        self._send(b"B", b"\0\0" + struct.pack("!HH", 0, len(values)) + bound + struct.pack("!H", 0))
        self._send(b"E", b"\0" + struct.pack("!I", 0))
        self._send(b"S", b"")
        self.stream.flush()
        return [_columns(body) for kind, body in self._until_ready() if kind == b"D"]

    def close(self):
        self.stream.close()

    def _send(self, kind, body):
        self.stream.write(kind + struct.pack("!I", len(body) + 4) + body)

    def _receive(self):
        head = self.stream.read(5)
        if len(head) < 5:
            raise DatabaseError("the server closed the connection")
        kind, size = struct.unpack("!cI", head)
        return kind, self.stream.read(size - 4)

    def _until_ready(self):
        messages, failure = [], None
        while True:
            kind, body = self._receive()
            if kind == b"Z":
                break
            if kind == b"E":
                failure = _error_text(body)
                # During start-up the server hangs up instead of saying that it is ready.
                if b"SFATAL" in body:
                    break
            messages.append((kind, body))
        if failure:
            raise DatabaseError(failure)
        return messages

    def _expect_authentication(self, wanted):
        kind, body = self._receive()
        if kind == b"E":
            raise DatabaseError(_error_text(body))
        (code,) = struct.unpack("!I", body[:4])
        if kind != b"R" or code != wanted:
            raise DatabaseError(f"the server asks for authentication {code}, not for SCRAM")
        return body[4:].decode(errors="replace")

    def _authenticate(self, password):
        """SCRAM-SHA-256 of RFC 7677, without channel binding."""
        self._expect_authentication(10)
        nonce = secrets.token_urlsafe(18)
        first = f"n=,r={nonce}"
        message = ("n,," + first).encode()
        self._send(b"p", b"SCRAM-SHA-256\0" + _length_first(message))
        self.stream.flush()

        challenge = self._expect_authentication(11)
        given = dict(part.split("=", 1) for part in challenge.split(","))
        if not given["r"].startswith(nonce):
            raise DatabaseError("the server answered another question")
        salt = base64.b64decode(given["s"])
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, int(given["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        last = f"c=biws,r={given['r']}"
        signed = f"{first},{challenge},{last}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self._send(b"p", f"{last},p={base64.b64encode(proof).decode()}".encode())
        self.stream.flush()
        self._expect_authentication(12)
        self._expect_authentication(0)


def _length_first(value):
    return struct.pack("!I", len(value)) + value


def _columns(body):
    (count,), rest, row = struct.unpack("!H", body[:2]), body[2:], []
    for _ in range(count):
        (size,), rest = struct.unpack("!i", rest[:4]), rest[4:]
        row.append(None if size < 0 else rest[:size].decode())
        rest = rest[max(size, 0) :]
    return tuple(row)


def _error_text(body):
    fields = {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
    return fields.get(b"M", "unknown error")
