"""The plain twin of the random streams: the same arithmetic in Python's integers and floats, which never fuse a multiplication."""

import math
from hashlib import sha256

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
MASK = 2**64 - 1


def rotate(value: int, count: int) -> int:
    return (value << count | value >> (64 - count)) & MASK


def natural_log(value: float) -> float:
    m, k = math.frexp(value)
    if m < 0.7071067811865476:
        m, k = m * 2.0, k - 1
    s = (m - 1.0) / (m + 1.0)
    total = 0.0
    for term in range(12, -1, -1):
        total = total * (s * s) + 1.0 / (2 * term + 1)
    return k * 0.6931471805599453 + 2.0 * s * total


class StreamTwin:
    """What ``kubesim._core.random.Stream`` draws."""

    def __init__(self, seed: int, name: str) -> None:
        digest = sha256(f"{seed}:{name}".encode()).digest()
        self.state = [int.from_bytes(digest[at : at + 8], "little") for at in range(0, 32, 8)]

    def u64(self) -> int:
        s0, s1, s2, s3 = self.state
        s2, s3 = s2 ^ s0, s3 ^ s1
        self.state = [s0 ^ s3, s1 ^ s2, s2 ^ (s1 << 17) & MASK, rotate(s3, 45)]
        return rotate(s1 * 5 & MASK, 7) * 9 & MASK

    def below(self, count: int) -> int:
        while True:
            product = self.u64() * count
            if product & MASK >= 2**64 % count:
                return product >> 64

    def uniform(self) -> float:
        return (self.u64() >> 11) * 2.0**-53

    def between(self, low: int, high: int) -> int:
        return low + (self.u64() if high - low == MASK else self.below(high - low + 1))

    def exponential(self, mean: float) -> float:
        return -mean * natural_log(1.0 - self.uniform())

    def normal(self, mean: float, deviation: float) -> float:
        while True:
            u, v = 2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0
            square = u * u + v * v
            if 0.0 < square < 1.0:
                return mean + deviation * (u * math.sqrt(-2.0 * natural_log(square) / square))

    def shuffle(self, items: list) -> None:
        for index in range(len(items) - 1, 0, -1):
            other = self.below(index + 1)
            items[index], items[other] = items[other], items[index]

    def uuid(self) -> str:
        high = self.u64() & ~0xF000 | 0x4000
        low = self.u64() & (2**62 - 1) | 2**63
        text = f"{high:016x}{low:016x}"
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def suffix(self, length: int = 5) -> str:
        return "".join(ALPHABET[self.below(27)] for _ in range(length))
