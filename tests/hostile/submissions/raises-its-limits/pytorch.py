import resource


def run(inputs, workdir):
    for name in ("CORE", "NOFILE", "FSIZE", "CPU", "DATA", "NPROC", "MEMLOCK", "RTPRIO", "NICE"):
        what = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(what)[1]
        infinite = resource.RLIM_INFINITY
        if hard == infinite and name in ("CORE", "NOFILE", "FSIZE", "CPU", "DATA", "NPROC"):
            print("BREACH: no limit on", name, flush=True)
            continue
        try:
            resource.setrlimit(what, (infinite, infinite))
            print("BREACH: raised" if hard != infinite else "had", name, flush=True)
        except (ValueError, OSError):
            print("refused:", name, flush=True)
    return {}
