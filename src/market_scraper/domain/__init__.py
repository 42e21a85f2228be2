"""What is true without any computer: no I/O, no clock, no environment."""
