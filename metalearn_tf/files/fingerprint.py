"""A name for data that changes whenever the content changes."""

import hashlib

import numpy as np


def fingerprint(*parts):
    """SHA-256 of bytes and arrays, in hexadecimal digits. An array counts with its dtype, its shape and every element.

    Args:
        *parts: bytes, or arrays of numbers, strings or bytes.
    """
    digest = hashlib.sha256()

    def update(content):
        # With its length: otherwise two different lists of contents could give the same bytes.
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)

    for part in parts:
        if isinstance(part, bytes):
            update(part)
            continue
        update(f"{part.dtype} {part.shape}".encode())
        if part.dtype != object:
            # As bytes: arrays of bfloat16 have no other way to give them.
            digest.update(np.ascontiguousarray(part).reshape(-1).view("uint8"))
            continue
        for text in part.ravel():
            update(text if isinstance(text, bytes) else text.encode())
    return digest.hexdigest()
