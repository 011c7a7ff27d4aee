//! What a picture from Owncast really is; pure. Labels are never trusted: the logo's PNG is served as
//! `image/jpeg` under `/thumbnail.jpg` until the first frame exists, 20 s into a stream.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A picture format, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// GIF, moving or not.
    Gif,
    /// WebP.
    Webp,
    /// SVG, with or without an XML prologue.
    Svg,
    /// None of these.
    Unknown,
}

/// Names the format by magic bytes (WHATWG MIME Sniffing §6.1; SVG by its root element).
pub fn sniff(bytes: &[u8]) -> Format {
    if bytes.starts_with(b"\xff\xd8\xff") {
        Format::Jpeg
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Format::Png
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        Format::Gif
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP".as_slice()) {
        Format::Webp
    } else if is_svg(bytes) {
        Format::Svg
    } else {
        Format::Unknown
    }
}

/// An `<svg` near the start of a text that starts like XML; an HTML page with an inline drawing is none.
fn is_svg(bytes: &[u8]) -> bool {
    let head = bytes.get(..1024).unwrap_or(bytes);
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let xml = text.starts_with("<?xml") || text.starts_with("<!--") || text.starts_with("<!doctype svg");
    text.starts_with("<svg") || (xml && text.contains("<svg"))
}

/// SHA-256 of a picture's bytes as fetched; text form: 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Hash {
        Hash(openssl::sha::sha256(bytes))
    }

    /// A value that is no hash of anything, for names nobody can guess: 32 random bytes.
    pub fn from_entropy(entropy: [u8; 32]) -> Hash {
        Hash(entropy)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// A text that is not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 in 64 lower-case hex digits")]
pub struct NotAHash;

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Hash, NotAHash> {
        if text.len() != 64 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NotAHash);
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            let pair = text.get(at..at + 2).ok_or(NotAHash)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NotAHash)?;
        }
        Ok(Hash(bytes))
    }
}

impl TryFrom<String> for Hash {
    type Error = NotAHash;

    fn try_from(text: String) -> Result<Hash, NotAHash> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> String {
        hash.to_string()
    }
}

/// What stands under a picture address of a live stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A whole picture of this stream.
    Real,
    /// The logo stands in.
    Logo,
    /// The last one of the stream before.
    Stale,
    /// Torn, empty, SVG, or no picture at all.
    NotAPicture,
}

/// Judges what Owncast serves as a stream's picture. `expected` is the format Owncast makes there:
/// JPEG for `/thumbnail.jpg`, GIF for `/preview.gif`. `logos` are the hashes of `/logo` and `/logo/external`;
/// `previous_stream_last` is that of what stood there when this stream connected.
pub fn judge(bytes: &[u8], expected: Format, logos: &[Hash], previous_stream_last: Option<Hash>) -> Verdict {
    let hash = Hash::of(bytes);
    if logos.contains(&hash) {
        return Verdict::Logo;
    }
    if previous_stream_last == Some(hash) {
        return Verdict::Stale;
    }
    match sniff(bytes) {
        found if found == expected && is_whole(bytes, found) => Verdict::Real,
        found if found == expected => Verdict::NotAPicture,
        Format::Svg | Format::Unknown => Verdict::NotAPicture,
        // Another format under this name can only be a copied logo, one replaced since it was hashed.
        Format::Jpeg | Format::Png | Format::Gif | Format::Webp => Verdict::Logo,
    }
}

/// Owncast's encoder writes the file in place, so a read may catch half of it: a whole one has its end mark,
/// maybe followed by padding.
fn is_whole(bytes: &[u8], format: Format) -> bool {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let bytes = bytes.get(..end).unwrap_or(bytes);
    match format {
        Format::Jpeg => bytes.ends_with(b"\xff\xd9"),
        Format::Gif => bytes.ends_with(b"\x3b"),
        Format::Png => bytes.ends_with(b"IEND\xae\x42\x60\x82"),
        Format::Webp | Format::Svg | Format::Unknown => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_bytes() {
        let table: [(&[u8], Format); 14] = [
            (b"\xff\xd8\xff\xe0", Format::Jpeg),
            (b"\x89PNG\r\n\x1a\n", Format::Png),
            (b"\x89PNG", Format::Unknown),
            (b"GIF89a", Format::Gif),
            (b"RIFF\0\0\0\0WEBPVP8 ", Format::Webp),
            (b"RIFF\0\0\0\0WAVE", Format::Unknown),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", Format::Svg),
            (b"\xef\xbb\xbf <?xml version=\"1.0\"?>\n<!-- x -->\n<SVG>", Format::Svg),
            (b"<!DOCTYPE svg PUBLIC><svg>", Format::Svg),
            (b"<!doctype html><svg></svg>", Format::Unknown),
            (b"<?xml version=\"1.0\"?><rss>", Format::Unknown),
            (b"", Format::Unknown),
            (b"RIFF", Format::Unknown),
            (b"\xff\xd8", Format::Unknown),
        ];
        for (bytes, expected) in table {
            assert_eq!(sniff(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn only_a_whole_new_frame_is_real() {
        let frame = b"\xff\xd8\xff frame \xff\xd9".as_slice();
        let old_frame = b"\xff\xd8\xff old \xff\xd9".as_slice();
        let torn = b"\xff\xd8\xff fra".as_slice();
        let png_logo = b"\x89PNG\r\n\x1a\n logo IEND\xae\x42\x60\x82".as_slice();
        let jpeg_logo = b"\xff\xd8\xff logo \xff\xd9".as_slice();
        let new_logo = b"\x89PNG\r\n\x1a\n new logo".as_slice();
        let svg_logo = b"<svg/>".as_slice();
        let logos = [Hash::of(png_logo), Hash::of(jpeg_logo), Hash::of(svg_logo)];
        let table = [
            (frame, Verdict::Real),
            (old_frame, Verdict::Stale),
            (torn, Verdict::NotAPicture),
            (png_logo, Verdict::Logo),
            (jpeg_logo, Verdict::Logo),
            (svg_logo, Verdict::Logo),
            (new_logo, Verdict::Logo),
            (b"<svg></svg>".as_slice(), Verdict::NotAPicture),
            (b"".as_slice(), Verdict::NotAPicture),
            (b"<!doctype html>".as_slice(), Verdict::NotAPicture),
        ];
        for (bytes, expected) in table {
            let verdict = judge(bytes, Format::Jpeg, &logos, Some(Hash::of(old_frame)));
            assert_eq!(verdict, expected, "{:?}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(judge(b"GIF89a;", Format::Gif, &[], None), Verdict::Real);
        assert_eq!(judge(png_logo, Format::Gif, &[], None), Verdict::Logo);
    }

    /// The first bytes seen under both addresses through a real go-live: Owncast 0.1.3 says `image/jpeg` for the
    /// logo's PNG until second 20.
    #[test]
    fn the_recorded_go_live_is_judged_by_its_bytes() {
        let timeline = include_str!("../../tests/fixtures/owncast-client/go-live-timeline.jsonl");
        let mut first_real = None;
        for line in timeline.lines().filter(|line| !line.is_empty()) {
            let seen: serde_json::Value = serde_json::from_str(line).unwrap();
            let (thumbnail, preview) = (&seen["thumbnail"], &seen["preview"]);
            let bytes = |magic: &str| match magic {
                "ffd8ff" => b"\xff\xd8\xff\xff\xd9".to_vec(),
                "474946" => b"GIF89a;".to_vec(),
                "89504e" => b"\x89PNG\r\n\x1a\n".to_vec(),
                other => panic!("unknown magic {other}"),
            };
            assert_eq!(thumbnail[3], "image/jpeg", "whatever it is");
            let verdict = judge(&bytes(thumbnail[1].as_str().unwrap()), Format::Jpeg, &[], None);
            if verdict == Verdict::Real && first_real.is_none() {
                first_real = seen["seconds_after_rtmp_connect"].as_f64();
            }
            let real_preview = judge(&bytes(preview[1].as_str().unwrap()), Format::Gif, &[], None);
            assert_eq!(real_preview == Verdict::Real, preview[2] == "image/gif");
        }
        assert_eq!(first_real, Some(20.9));
    }

    #[test]
    fn hashes_read_back() {
        let hash = Hash::of(b"x");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(serde_json::from_str::<Hash>(&serde_json::to_string(&hash).unwrap()).unwrap(), hash);
        for bad in ["", "ab", &hash.to_string().to_uppercase(), &"é".repeat(32)] {
            assert_eq!(bad.parse::<Hash>(), Err(NotAHash));
        }
    }
}
