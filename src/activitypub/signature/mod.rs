//! HTTP message signatures: digests, keys and the cavage draft, without any IO.
