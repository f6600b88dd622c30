"""Symmetric indefinite linear systems: assembly through precomputed places, factors with inertia, refined solutions."""
