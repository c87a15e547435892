"""What becomes of commands, files and data when something goes wrong."""
