import sys

MARKUP = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>]]>&lt;{{7*7}}[/red]"
ODD = "\x1b]0;owned\x07\x1b[2J\x00\x08\u202e\ufffe\uffff\ud7ff\r\n=cmd|' /c calc'!A0"


def run(inputs, workdir):
    print(MARKUP, ODD, flush=True)
    print(MARKUP, ODD, file=sys.stderr, flush=True)
    raise type("<script>alert(3)</script>", (ValueError,), {})(MARKUP + ODD)
