"""A Redis client of one function: sends a command, returns the answer."""

import socket


def command(host, *words, port=6379):
    with socket.create_connection((host, port), timeout=5) as server:
        stream = server.makefile("rwb")
        stream.write(b"*%d\r\n" % len(words))
        for word in words:
            data = str(word).encode()
            stream.write(b"$%d\r\n%s\r\n" % (len(data), data))
        stream.flush()
        line = stream.readline()
        kind, rest = line[:1], line[1:].strip()
        if kind == b"-":
            raise OSError(rest.decode())
        if kind != b"$":
            return rest.decode()
        size = int(rest)
        return None if size < 0 else stream.read(size).decode()
