//! Logo, thumbnail and preview, with the traps of the real ones.

use std::io::Cursor;
use std::sync::{Mutex, OnceLock};

use bytes::Bytes;
use http::StatusCode;
use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{Frame, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

use super::Shared;
use super::reply::{Reply, empty, set, with_body};
use super::state::lock;

/// How many different thumbnails are drawn before they come round again.
const DIFFERENT: u32 = 64;

/// `/thumbnail.jpg`, `/preview.gif`, `/logo`, `/logo/external`, or `None` for another path.
pub(super) fn answer(shared: &Shared, path: &str) -> Option<Reply> {
    let state = lock(&shared.state);
    let logo = || match &state.config.logo {
        Some((bytes, kind)) => (bytes.clone(), kind.clone()),
        None => (logo(), "image/png".to_owned()),
    };
    let (bytes, kind, cache) = match path {
        // The file has this name and label whatever was copied to it.
        "/thumbnail.jpg" => {
            let bytes = state.pictures.thumbnail.clone().unwrap_or_else(|| logo().0);
            (bytes, "image/jpeg".to_owned(), "public, max-age=20")
        }
        "/preview.gif" => match state.pictures.preview.clone() {
            Some(bytes) => (bytes, "image/gif".to_owned(), "public, max-age=20"),
            None => (logo().0, logo().1, "public, max-age=20"),
        },
        "/logo" | "/logo/external" => (logo().0, logo().1, "public, max-age=2592000"),
        _ => return None,
    };
    if bytes.is_empty() {
        return Some(empty(StatusCode::NOT_FOUND));
    }
    let mut reply = with_body(StatusCode::OK, &kind, bytes);
    set(&mut reply, "cache-control", cache);
    Some(reply)
}

/// The built-in logo, a PNG.
pub(super) fn logo() -> Bytes {
    static LOGO: OnceLock<Bytes> = OnceLock::new();
    LOGO.get_or_init(|| {
        let picture = RgbImage::from_fn(256, 256, |x, y| {
            let inside = (i64::from(x) - 128).pow(2) + (i64::from(y) - 128).pow(2) < 110 * 110;
            if inside { Rgb([120, 113, 255]) } else { Rgb([30, 28, 60]) }
        });
        let mut bytes = Vec::new();
        match picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png) {
            Ok(()) => bytes.into(),
            Err(_) => Bytes::new(),
        }
    })
    .clone()
}

/// Thumbnail number `number`, a JPEG of 1280 × 720; another number is another picture.
pub(super) fn thumbnail(number: u32) -> Bytes {
    static DRAWN: Mutex<Vec<(u32, Bytes)>> = Mutex::new(Vec::new());
    let number = number % DIFFERENT;
    if let Some((_, bytes)) = lock(&DRAWN).iter().find(|(drawn, _)| *drawn == number) {
        return bytes.clone();
    }
    let picture = RgbImage::from_fn(1280, 720, |x, y| Rgb(color(number, x / 80, y / 80)));
    let mut bytes = Vec::new();
    if JpegEncoder::new_with_quality(&mut bytes, 70).encode_image(&picture).is_err() {
        return Bytes::new();
    }
    let bytes = Bytes::from(bytes);
    lock(&DRAWN).push((number, bytes.clone()));
    bytes
}

/// The moving preview that belongs to thumbnail `number`, a GIF of 160 × 90.
pub(super) fn preview(number: u32) -> Bytes {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, 30);
    for step in 0..2 {
        let picture = RgbaImage::from_fn(160, 90, |x, y| {
            let [r, g, b] = color((number % DIFFERENT) + step, x / 20, y / 20);
            Rgba([r, g, b, 255])
        });
        if encoder.encode_frame(Frame::new(picture)).is_err() {
            return Bytes::new();
        }
    }
    drop(encoder);
    bytes.into()
}

fn color(number: u32, column: u32, row: u32) -> [u8; 3] {
    let shade = |offset: u32| {
        u8::try_from((number.wrapping_mul(37) + column * 11 + row * 17 + offset * 83) % 256)
            .unwrap_or_default()
    };
    [shade(0), shade(1), shade(2)]
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_differ_and_are_what_their_bytes_say() {
        assert_ne!(thumbnail(1), thumbnail(2));
        assert_ne!(preview(1), preview(2));
        for (bytes, format) in
            [(logo(), ImageFormat::Png), (thumbnail(1), ImageFormat::Jpeg), (preview(1), ImageFormat::Gif)]
        {
            assert_eq!(image::guess_format(&bytes).ok(), Some(format));
        }
    }
}
