"""What one room may ask of another: Protocols whose docstrings are the promises that the contract tests check."""
