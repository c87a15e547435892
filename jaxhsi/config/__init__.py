"""Configuration of the commands: frozen dataclasses, and the files that they are kept in."""
