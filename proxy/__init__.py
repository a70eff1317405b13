"""The dynamic proxy: which routes it should have (pure), its REST client, and its process."""
