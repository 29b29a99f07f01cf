"""The little of CBOR that the control socket needs: requests out, parts in."""

import struct

WIDTHS = {24: "B", 25: ">H", 26: ">I", 27: ">Q"}


def read(data, at=0):
    """One value and where the next begins."""
    major, length = data[at] >> 5, data[at] & 31
    at += 1
    if length in WIDTHS:
        width = struct.calcsize(WIDTHS[length])
        length = struct.unpack_from(WIDTHS[length], data, at)[0]
        at += width
    if major == 0:
        return length, at
    if major == 1:
        return -1 - length, at
    if major == 2:
        return bytes(data[at : at + length]), at + length
    if major == 3:
        return str(data[at : at + length], "utf-8"), at + length
    if major == 4:
        items = []
        for _ in range(length):
            item, at = read(data, at)
            items.append(item)
        return items, at
    if major == 7 and length in (20, 21, 22):
        return {20: False, 21: True, 22: None}[length], at
    raise ValueError(f"CBOR type {major}.{length} is not expected here")


def _head(major, length):
    if length < 24:
        return bytes([major << 5 | length])
    mark = next(mark for mark, form in WIDTHS.items() if length < 256 ** struct.calcsize(form))
    return bytes([major << 5 | mark]) + struct.pack(WIDTHS[mark], length)


def write(value):
    if isinstance(value, int):
        return _head(0, value)
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    return _head(4, len(value)) + b"".join(write(item) for item in value)
