"""Methods for convex objectives in parts: losses of affine functions plus simple penalties, with a duality gap."""
