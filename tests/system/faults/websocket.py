# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 over asyncio streams, as much of it as a man in the middle needs: whole messages, both directions."""
import os
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
LIMIT = 16 << 20


async def read_frame(reader):
    first, second = await reader.readexactly(2)
    length = second & 0x7f
    if length == 126:
        length, = struct.unpack(">H", await reader.readexactly(2))
    elif length == 127:
        length, = struct.unpack(">Q", await reader.readexactly(8))
    assert length <= LIMIT
    mask = await reader.readexactly(4) if second & 0x80 else None
    data = await reader.readexactly(length)
    if mask:
        data = bytes(byte ^ mask[i & 3] for i, byte in enumerate(data)) if length < 4096 else unmask(data, mask)
    return first & 0x0f, bool(first & 0x80), data


def unmask(data, mask):
    key = int.from_bytes((mask * (len(data) // 4 + 1))[:len(data)], "big")
    return (int.from_bytes(data, "big") ^ key).to_bytes(len(data), "big")


async def read_message(reader):
    """(opcode, data), fragments put together; control frames come as they are."""
    kind, whole = None, b""
    while True:
        opcode, final, data = await read_frame(reader)
        if opcode >= CLOSE:
            return opcode, data
        kind = kind or opcode
        whole += data
        if final:
            return kind, whole


def frame(opcode, data, masked):
    head = bytes((0x80 | opcode,))
    mark = 0x80 if masked else 0
    if len(data) < 126:
        head += bytes((mark | len(data),))
    elif len(data) < 65536:
        head += bytes((mark | 126,)) + struct.pack(">H", len(data))
    else:
        head += bytes((mark | 127,)) + struct.pack(">Q", len(data))
    if not masked:
        return head + data
    mask = os.urandom(4)
    return head + mask + unmask(data, mask)
