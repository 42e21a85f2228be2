"""Collectors decide when to ask and what is worth publishing; connectors know how."""
