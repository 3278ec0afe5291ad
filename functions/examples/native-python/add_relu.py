#!/usr/bin/env python3
"""A native program for Starbelt: y = max(0, a + b), with nothing but Python's standard library (3.9 or later).

The protocol is in functions/wit/NATIVE.md. Put your own computation, on your graphics processor, in compute().
"""

import array
import fcntl
import json
import os
import socket

# F_ADD_SEALS, and F_SEAL_SEAL | SHRINK | GROW | WRITE of <linux/fcntl.h>.
ADD_SEALS, SEALS = 1033, 0x1 | 0x2 | 0x4 | 0x8


def compute(inputs):
    """Takes and gives, for each name, dimensions and an array of floats."""
    (dims, a), (_, b) = inputs["a"], inputs["b"]
    return {"y": (dims, array.array("f", (max(0.0, x + y) for x, y in zip(a, b))))}


def decode(data):
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["shape"], array.array("f", data[start + begin : start + end]))
    return tensors


def encode(tensors):
    header, data = {}, b""
    for name, (dims, values) in tensors.items():
        end = len(data) + 4 * len(values)
        header[name] = {"dtype": "F32", "shape": dims, "data_offsets": [len(data), end]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def main():
    agent = socket.socket(fileno=int(os.environ["STARBELT_SOCKET_FD"]))
    tensor = {"kind": "f32", "dims": [None]}
    hello = {"protocol": 1, "device": "the processor, by Python", "inputs": [], "outputs": []}
    hello["inputs"] = [{"name": "a", **tensor}, {"name": "b", **tensor}]
    hello["outputs"] = [{"name": "y", **tensor}]
    agent.send(json.dumps(hello).encode())
    while True:
        packet, descriptors, _, _ = socket.recv_fds(agent, 4096, 1)
        if not packet:
            return
        job = json.loads(packet)
        inputs = decode(os.pread(descriptors[0], job["bytes"], 0))
        os.close(descriptors[0])
        try:
            answer = encode(compute(inputs))
        except ValueError as error:
            agent.send(json.dumps({"id": job["id"], "error": str(error), "lost": False}).encode())
            continue
        memory = os.memfd_create("answer", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(memory, answer)
        fcntl.fcntl(memory, ADD_SEALS, SEALS)
        socket.send_fds(agent, [json.dumps({"id": job["id"], "ok": True}).encode()], [memory])
        os.close(memory)


if __name__ == "__main__":
    main()
