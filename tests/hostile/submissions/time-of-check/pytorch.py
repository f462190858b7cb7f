import threading

import numpy as np


def run(inputs, workdir):
    values = {"loss": np.zeros(176, np.float32), "b1": np.zeros(20, np.float32)}

    def race():
        flip = 0.0
        while True:
            flip = 1.0 - flip
            values["loss"][:] = flip
            try:
                values["loss"].resize(176 + int(flip), refcheck=False)
            except Exception:
                pass

    threading.Thread(target=race, daemon=True).start()
    print("racing", flush=True)
    return values
