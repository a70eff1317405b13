"""The web tier: signs people in, shows pages, writes specs, reads status, relays dashboards.

It touches Workspace objects and nothing else of a backend.
"""
