"""Ready for nine? Whether a class will find what it needs, and what to do where it will not."""
