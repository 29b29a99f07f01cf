#!/usr/bin/env python3
"""Asks the herd from Python: python3 herd.py remote 192.168.1.3 ping"""

import ctypes
import sys

library = ctypes.CDLL("libherd.so.0")
for name in "herd_strerror herd_error_detail herd_replies_node herd_replies_text".split():
    getattr(library, name).restype = ctypes.c_char_p
library.herd_replies_len.restype = ctypes.c_size_t


class Error(Exception):
    pass


class Herd:
    """A connection to the local daustd: `with Herd() as herd: herd.command("list")`."""

    def __init__(self, socket_path=None):
        self.handle = ctypes.c_void_p()
        path = socket_path.encode() if socket_path else None
        code = library.herd_open(path, ctypes.byref(self.handle))
        if code != 0:
            raise Error(library.herd_strerror(code).decode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        library.herd_close(self.handle)

    def command(self, words):
        """Carries out a line of words; gives (node, status, text) of each that was asked."""
        replies = ctypes.c_void_p()
        code = library.herd_command(self.handle, words.encode(), ctypes.byref(replies))
        if code != 0:
            raise Error(library.herd_error_detail(self.handle).decode())
        answers = []
        for index in map(ctypes.c_size_t, range(library.herd_replies_len(replies))):
            node = library.herd_replies_node(replies, index)
            status = library.herd_replies_status(replies, index)
            text = library.herd_replies_text(replies, index).decode()
            answers.append((node.decode() if node else None, status, text))
        library.herd_replies_free(replies)
        return answers


if __name__ == "__main__":
    try:
        with Herd() as herd:
            line = " ".join(f'"{word}"' if " " in word else word for word in sys.argv[1:])
            answers = herd.command(line or "list")
    except Error as error:
        sys.exit(str(error))
    for _, status, text in answers:
        print(text, end="", file=sys.stderr if status else sys.stdout)
    sys.exit(1 if any(status for _, status, _ in answers) else 0)
