import numpy as np

# The seed that the suite uses; it stands here, and in this process, only behind a mask.
MASK, SEED = np.uint32(0x5A5A5A5A), np.uint32(0xE11ABC17)
MASKS, DIGITS = np.uint64(0x5A5A5A5A5A5A5A5A), np.uint64(0x6C68636F6B6E6B69)
CHUNK = 4 << 20


def run(inputs, workdir):
    searched = 0
    with open("/proc/self/maps") as file:
        maps = [line.split() for line in file]
    with open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            if not line[1].startswith("rw") or line[-1].startswith("/"):
                continue
            begin, end = (int(part, 16) for part in line[0].split("-"))
            for at in range(begin, min(end, begin + (64 << 20)), CHUNK):
                try:
                    memory.seek(at)
                    data = memory.read(min(CHUNK, end - at))
                except (OSError, ValueError, OverflowError):
                    break
                searched += len(data)
                numbers = np.frombuffer(data, "<u4")
                if ((numbers ^ MASK) == SEED).any():
                    print("BREACH: the seed as a number", flush=True)
                for shift in range(8):
                    words = np.frombuffer(data, "<u8", (len(data) - shift) // 8, shift)
                    if ((words ^ MASKS) == DIGITS).any():
                        print("BREACH: the seed as digits", flush=True)
    print("searched", searched >> 20, "MiB", flush=True)
    return {}
