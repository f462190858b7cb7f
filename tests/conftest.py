"""What holds for all tests."""

import signal

# Started in the background of a script, a process inherits that Ctrl-C is ignored, and hands that
# on to its children; the tests that press Ctrl-C mean a process in the foreground.
signal.signal(signal.SIGINT, signal.default_int_handler)
