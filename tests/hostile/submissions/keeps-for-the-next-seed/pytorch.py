import os
import re

NAME = "kept-by-paritylab-hostile"


def run(inputs, workdir):
    folder = os.path.dirname(os.getcwd())
    prefix, number = re.match(r"(.*-)([0-9]+)$", folder).groups()
    earlier = ["%s%d" % (prefix, n) for n in range(1, int(number))]
    places = ["/tmp", "/dev/shm", "/var/tmp", "/dev/mqueue", "/run", "/run/lab", "/run/lock"]
    for place in [*places, *earlier]:
        for path in (
            place + "/" + NAME,
            os.path.join(place, "work", NAME),
            place + "/" + NAME + "/inside",
        ):
            if os.path.exists(path):
                print("BREACH: found", path, flush=True)
    count = 0
    for place in [*places, folder, os.getcwd()]:
        try:
            os.makedirs(place + "/" + NAME)
            with open(place + "/" + NAME + "/inside", "w") as file:
                file.write("answers")
            os.chmod(place + "/" + NAME + "/inside", 0o644)
            os.chmod(place + "/" + NAME, 0o111)  # to pass, not to list
            count += 1
        except OSError:
            pass
    print("left in", count, "places", flush=True)
    return {}
