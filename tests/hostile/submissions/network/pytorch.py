import socket


def run(inputs, workdir):
    names = [name for _, name in socket.if_nameindex()]
    if names != ["lo"]:
        print("BREACH: interfaces", names, flush=True)
    for address in (
        ("1.1.1.1", 53),
        ("8.8.8.8", 443),
        ("172.17.0.1", 2375),
        ("169.254.169.254", 80),
    ):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as sock:
                sock.settimeout(0.3)
                try:
                    sock.connect(address)
                    print("BREACH: connected", address, flush=True)
                except OSError as fault:
                    print("connect:", fault.strerror or fault, flush=True)
    try:
        print("BREACH: resolved", socket.getaddrinfo("example.com", 80), flush=True)
    except OSError as fault:
        print("resolve:", fault, flush=True)
    for port in (22, 80, 111, 2375, 2376, 5000, 6006, 8080, 8888):
        with socket.socket() as sock:
            sock.settimeout(0.2)
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                print("BREACH: somebody listens on", port, flush=True)
    for family, kind in ((socket.AF_PACKET, socket.SOCK_RAW), (socket.AF_INET, socket.SOCK_RAW)):
        try:
            socket.socket(family, kind, 1).close()
            print("BREACH: raw socket", family, flush=True)
        except OSError as fault:
            print("raw:", fault.strerror, flush=True)
    return {}
