//! Text and HTML: ours made safe, strangers' made plain.
