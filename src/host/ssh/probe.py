"""Connect to the Unix socket of one argument, or to the host and port of two, and print the name of the error, or `open`."""

import errno
import socket
import sys

place = sys.argv[1:]
try:
    if len(place) == 1:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(place[0])
    else:
        socket.create_connection((place[0], int(place[1])), timeout=5).close()
    print("open")
except OSError as error:
    print(errno.errorcode.get(error.errno, "?"), error.strerror or error)
