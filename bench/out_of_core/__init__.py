"""What ``python -m bench.billion`` is made of: codes, room, build, searches and their report."""
