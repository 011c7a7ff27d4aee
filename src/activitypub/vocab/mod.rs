//! The vocabulary: one shape for each thing we emit, tolerant reading of what others send.
