//! What a picture from Owncast really is; pure. Labels are never trusted: the logo's PNG is served as
//! `image/jpeg` under `/thumbnail.jpg` until the first frame exists, 20 s into a stream.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

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

/// Owncast makes the first picture of a connection 20 s after it and one every 20 s from then on: after this long
/// it has replaced what stood there.
pub const REPLACED: Duration = Duration::from_secs(45);

/// What tells a picture of the running connection from one of the stream before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Age {
    /// Hash of what stood there when the connection was first seen, and whether that was before Owncast makes the
    /// first picture of a connection.
    pub first_seen: Option<(Hash, bool)>,
    /// Hash of the last picture that was posted.
    pub posted: Option<Hash>,
    /// How long the connection has been up.
    pub up: Duration,
}

impl Age {
    /// Whether what stands there now was made from the running connection. Seen to change, it was. What stood there
    /// from the first and has not changed is of the stream before. Where nobody looked in time only the clock can
    /// tell; not so for a moving picture, which never stays the same while Owncast goes on making it.
    fn is_new(&self, hash: Hash, format: Format) -> bool {
        match self.first_seen {
            Some((first, _)) if first != hash => true,
            Some((_, true)) => false,
            _ => format == Format::Jpeg && self.up >= REPLACED && self.posted != Some(hash),
        }
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

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Real => "Owncast shows one",
            Verdict::Logo => "Owncast shows its logo until it has made one, about 20 s after the start",
            Verdict::Stale => {
                "Owncast shows the stream before until it has made one, about 20 s after the start"
            }
            Verdict::NotAPicture => "what Owncast shows is no whole picture",
        })
    }
}

/// Judges what Owncast serves as a stream's picture. `expected` is the format Owncast makes there:
/// JPEG for `/thumbnail.jpg`, GIF for `/preview.gif`. `logos` are the hashes of `/logo` and `/logo/external`.
pub fn judge(bytes: &[u8], expected: Format, logos: &[Hash], age: &Age) -> Verdict {
    let hash = Hash::of(bytes);
    if logos.contains(&hash) {
        return Verdict::Logo;
    }
    match sniff(bytes) {
        found if found == expected && !is_whole(bytes, found) => Verdict::NotAPicture,
        found if found == expected && age.is_new(hash, found) => Verdict::Real,
        found if found == expected => Verdict::Stale,
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
            let age = Age { first_seen: Some((Hash::of(old_frame), true)), ..Age::default() };
            let verdict = judge(bytes, Format::Jpeg, &logos, &age);
            assert_eq!(verdict, expected, "{:?}", String::from_utf8_lossy(bytes));
        }
        let age = Age { first_seen: Some((Hash::of(png_logo), true)), ..Age::default() };
        assert_eq!(judge(b"GIF89a;", Format::Gif, &[], &age), Verdict::Real);
        assert_eq!(judge(png_logo, Format::Gif, &[], &age), Verdict::Logo);
    }

    /// Whose picture it is, from what was seen and how long the connection is up. The frame stands there now.
    #[test]
    fn a_picture_is_of_the_running_connection_or_not_used() {
        let (frame, gif) = (b"\xff\xd8\xff frame \xff\xd9".as_slice(), b"GIF89a frame ;".as_slice());
        let (now, other) = (Hash::of(frame), Hash::of(b"other"));
        let (early, late) = (true, false);
        for (first_seen, posted, up, real, what) in [
            (Some((other, early)), None, 20, true, "seen to change after the start"),
            (Some((other, late)), None, 20, true, "seen to change in mid-stream"),
            (Some((other, late)), Some(now), 20, true, "a scene that the last stream had, too"),
            (Some((now, early)), None, 20, false, "the last frame of the stream before"),
            (
                Some((now, early)),
                None,
                3600,
                false,
                "the same, since Owncast can make no picture of this stream",
            ),
            (Some((now, late)), None, 44, false, "started in mid-stream: perhaps of the stream before"),
            (Some((now, late)), None, 45, true, "started in mid-stream: a paused scene"),
            (Some((now, late)), Some(now), 3600, false, "started in mid-stream: posted for another stream"),
            (None, None, 44, false, "what stood there could not be read"),
            (None, None, 45, true, "what stood there could not be read, but must be gone"),
        ] {
            let age = Age { first_seen, posted, up: Duration::from_secs(up) };
            let want = if real { Verdict::Real } else { Verdict::Stale };
            assert_eq!(judge(frame, Format::Jpeg, &[], &age), want, "{what}");
        }
        // Owncast clears the preview of the stream before only when it restarts, and making one may fail.
        for first_seen in [None, Some((Hash::of(gif), late))] {
            let age = Age { first_seen, posted: None, up: Duration::from_secs(3600) };
            assert_eq!(judge(gif, Format::Gif, &[], &age), Verdict::Stale);
        }
    }

    /// From 0.2 on the logo may stand there encoded anew, as a JPEG that has the logo's hash no more.
    #[test]
    fn a_logo_encoded_anew_is_what_stood_there_first() {
        let logo = b"\xff\xd8\xff the logo, encoded anew \xff\xd9".as_slice();
        let age = |early| Age { first_seen: Some((Hash::of(logo), early)), ..Age::default() };
        for early in [true, false] {
            assert_eq!(judge(logo, Format::Jpeg, &[Hash::of(b"png")], &age(early)), Verdict::Stale);
        }
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
            let age = Age { first_seen: Some((Hash::of(b"what stood there"), true)), ..Age::default() };
            let verdict = judge(&bytes(thumbnail[1].as_str().unwrap()), Format::Jpeg, &[], &age);
            if verdict == Verdict::Real && first_real.is_none() {
                first_real = seen["seconds_after_rtmp_connect"].as_f64();
            }
            let real_preview = judge(&bytes(preview[1].as_str().unwrap()), Format::Gif, &[], &age);
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
