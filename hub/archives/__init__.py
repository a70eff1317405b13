"""What is kept of home folders: `base.py` says what every keeper of archives promises."""
