import socket

ALLOWED = {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK}


def run(inputs, workdir):
    for family in range(47):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try:
                sock = socket.socket(family, kind, 0)
            except OSError as fault:
                print("family %d:" % family, fault.strerror, flush=True)
                continue
            with sock:
                if family not in ALLOWED:
                    print("BREACH: a socket of family", family, flush=True)
    return {}
