//! Pictures for the tests of this room.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::gif::GifEncoder;
use image::{DynamicImage, Frame, ImageFormat, Rgba, RgbaImage};

/// A colour gradient.
pub fn gradient(width: u32, height: u32) -> DynamicImage {
    let at = |x: u32, y: u32| Rgba([(x * 255 / width) as u8, (y * 255 / height) as u8, 90, 255]);
    DynamicImage::ImageRgba8(RgbaImage::from_fn(width, height, at))
}

/// One colour.
pub fn flat(width: u32, height: u32, colour: [u8; 4]) -> DynamicImage {
    DynamicImage::ImageRgba8(RgbaImage::from_pixel(width, height, Rgba(colour)))
}

/// What no compressor can shrink: a linear congruential generator's bytes.
pub fn noise(width: u32, height: u32) -> DynamicImage {
    let mut state = 1_u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    DynamicImage::ImageRgba8(RgbaImage::from_fn(width, height, |_, _| Rgba([next(), next(), next(), 255])))
}

/// The file of a picture.
pub fn encoded(picture: &DynamicImage, format: ImageFormat) -> Bytes {
    let mut out = Cursor::new(Vec::new());
    match format {
        ImageFormat::Jpeg => DynamicImage::ImageRgb8(picture.to_rgb8()).write_to(&mut out, format).unwrap(),
        _ => picture.write_to(&mut out, format).unwrap(),
    }
    out.into_inner().into()
}

/// A GIF of so many frames.
pub fn moving(width: u32, height: u32, frames: u32) -> Bytes {
    let mut out = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut out, 30);
    for frame in 0..frames {
        let shade = (frame * 50 % 256) as u8;
        let at = |x: u32, y: u32| Rgba([(x * 7 % 256) as u8, (y * 5 % 256) as u8, shade, 255]);
        encoder.encode_frame(Frame::new(RgbaImage::from_fn(width, height, at))).unwrap();
    }
    drop(encoder);
    out.into()
}
