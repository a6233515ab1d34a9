"""A name for data that says all of its content."""

import hashlib

import numpy as np


def fingerprint(*parts):
    """SHA-256 in hexadecimal digits of bytes and arrays; of these the dtype and shape as well as every element.

    Args:
        *parts: bytes, or arrays of numbers, strings or bytes.
    """
    digest = hashlib.sha256()

    def update(content):
        # With its length, so that no two lists of contents run together alike.
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)

    for part in parts:
        if isinstance(part, bytes):
            update(part)
            continue
        update(f"{part.dtype} {part.shape}".encode())
        if part.dtype != object:
            # As bytes, which arrays of bfloat16 do not give away otherwise.
            digest.update(np.ascontiguousarray(part).reshape(-1).view("uint8"))
            continue
        for text in part.ravel():
            update(text if isinstance(text, bytes) else text.encode())
    return digest.hexdigest()
