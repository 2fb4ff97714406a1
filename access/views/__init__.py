"""The pages under Access, and those of a resource and a person that say who reaches what."""
