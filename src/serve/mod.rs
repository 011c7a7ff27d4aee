//! What the world can reach: accept loop, public routes, webhook listener, probes.
