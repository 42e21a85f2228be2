"""What the hot paths cost, beside the floor that nothing here can go below. Run `python -m bench`."""
