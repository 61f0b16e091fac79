"""What each command does; `forge/cli.py` says how it is called."""
