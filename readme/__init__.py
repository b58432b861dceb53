"""What README says that must not be written by hand, and what stands behind the commands that it names."""
