//! Measures a picture, makes its blurhash, and shrinks it when it is larger than a post needs.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};

use super::recognise::{Format, sniff};

/// Widest and highest picture decoded, pixels.
const MAX_SIDE: u32 = 8192;
/// Most memory for the pixels of one picture, bytes: 4K frames need 25 MB.
const MAX_PIXELS: u64 = 48 * 1024 * 1024;
/// Side of the picture the blurhash is made from, pixels: it keeps 4×3 waves, more pixels change nothing.
const BLUR_SIDE: u32 = 32;
/// Most pixels of a moving picture: Mastodon refuses more (`GIF_MATRIX_LIMIT`, 1280 × 720).
const MOVING_PIXELS: u64 = 921_600;
/// Largest file of a moving picture, bytes. Mastodon takes 16 MiB, older releases and others half of it; and a whole
/// fediverse fetches it at once.
const MOVING_BYTES: usize = 8 * 1024 * 1024;
/// Most frames of a moving picture: a preview has some seconds.
const MOVING_FRAMES: u32 = 1000;
/// JPEG qualities tried in turn until the picture is small enough.
const QUALITIES: [u8; 4] = [85, 75, 60, 45];

/// How large a picture may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Longest side, pixels.
    pub side: u32,
    /// Size of the file, bytes.
    pub bytes: usize,
}

impl Budget {
    /// A post's picture: what peers show at most, small enough for a whole fediverse fetching at once.
    pub const POST: Budget = Budget { side: 1280, bytes: 500_000 };
    /// A profile picture: peers show 400 pixels.
    pub const PROFILE: Budget = Budget { side: 512, bytes: 250_000 };
}

/// A picture ready to be kept and shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The file's bytes.
    pub bytes: Bytes,
    /// What they are.
    pub media_type: MediaType,
    /// Pixels, as shown.
    pub width: u32,
    /// Pixels, as shown.
    pub height: u32,
    /// 4×3 components, 28 characters.
    pub blurhash: String,
}

/// The formats the agent serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// `image/jpeg`, `.jpg`.
    Jpeg,
    /// `image/png`, `.png`.
    Png,
    /// `image/gif`, `.gif`.
    Gif,
}

impl MediaType {
    /// The media type's name.
    pub fn as_str(self) -> &'static str {
        match self {
            MediaType::Jpeg => "image/jpeg",
            MediaType::Png => "image/png",
            MediaType::Gif => "image/gif",
        }
    }

    /// The file name's ending, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            MediaType::Jpeg => "jpg",
            MediaType::Png => "png",
            MediaType::Gif => "gif",
        }
    }

    /// The type of a file name's ending.
    pub fn of_extension(extension: &str) -> Option<MediaType> {
        [MediaType::Jpeg, MediaType::Png, MediaType::Gif].into_iter().find(|one| one.extension() == extension)
    }
}

/// Why a picture cannot be used; it is left out then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescribeError {
    /// SVG, WebP or no picture: only the formats Owncast makes are decoded.
    #[error("Owncast's picture is of a format that is not supported ({0:?}); use JPEG, PNG or GIF")]
    Unsupported(Format),
    /// More than 8,192 pixels a side or 48 MiB of pixels.
    #[error("Owncast's picture is too large to decode; use one of at most 4096 × 4096 pixels")]
    TooLarge,
    /// More than Mastodon takes.
    #[error("Owncast's preview is larger than other servers take (1280 × 720 pixels, 8 MiB)")]
    TooLargeToMove,
    /// Torn or damaged.
    #[error("Owncast's picture is damaged: {0}")]
    Broken(String),
}

/// Decodes, measures and, where it exceeds `budget`, shrinks a picture. Costs some milliseconds of CPU: run it
/// where blocking is allowed. Of a GIF the first frame is left, since not everybody takes one that moves.
///
/// # Errors
/// [`DescribeError`].
pub fn describe(bytes: &Bytes, budget: Budget) -> Result<Described, DescribeError> {
    let media_type = match sniff(bytes) {
        Format::Jpeg => MediaType::Jpeg,
        Format::Png => MediaType::Png,
        Format::Gif => MediaType::Gif,
        other => return Err(DescribeError::Unsupported(other)),
    };
    let picture = decode(bytes, media_type)?;
    let blurhash = blur(&picture)?;
    let fits = media_type != MediaType::Gif
        && picture.width().max(picture.height()) <= budget.side
        && bytes.len() <= budget.bytes;
    let (bytes, media_type, picture) = match fits {
        true => (bytes.clone(), media_type, picture),
        false => shrink(picture, budget)?,
    };
    Ok(Described { bytes, media_type, width: picture.width(), height: picture.height(), blurhash })
}

/// Measures a moving picture, which is taken as it is or not at all: every frame of it must be readable.
///
/// # Errors
/// [`DescribeError`].
pub fn describe_moving(bytes: &Bytes) -> Result<Described, DescribeError> {
    match sniff(bytes) {
        Format::Gif if bytes.len() > MOVING_BYTES => return Err(DescribeError::TooLargeToMove),
        Format::Gif => {}
        other => return Err(DescribeError::Unsupported(other)),
    }
    let decoder = GifDecoder::new(Cursor::new(bytes)).map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOVING_PIXELS {
        return Err(DescribeError::TooLargeToMove);
    }
    let (mut first, mut frames) = (None, 0);
    for frame in decoder.into_frames() {
        let frame = frame.map_err(broken)?;
        frames += 1;
        if frames > MOVING_FRAMES {
            return Err(DescribeError::TooLargeToMove);
        }
        first.get_or_insert_with(|| frame.into_buffer());
    }
    let first = first.ok_or_else(|| DescribeError::Broken("it has no frame".to_owned()))?;
    let blurhash = blur(&DynamicImage::ImageRgba8(first))?;
    Ok(Described { bytes: bytes.clone(), media_type: MediaType::Gif, width, height, blurhash })
}

fn decode(bytes: &[u8], media_type: MediaType) -> Result<DynamicImage, DescribeError> {
    let format = match media_type {
        MediaType::Jpeg => ImageFormat::Jpeg,
        MediaType::Png => ImageFormat::Png,
        MediaType::Gif => ImageFormat::Gif,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_PIXELS);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    // The decoders hold their own buffers to the limit, the caller's output buffer they do not.
    if decoder.total_bytes() > MAX_PIXELS {
        return Err(DescribeError::TooLarge);
    }
    let orientation = decoder.orientation().map_err(broken)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn broken(error: image::ImageError) -> DescribeError {
    match error {
        image::ImageError::Limits(_) => DescribeError::TooLarge,
        other => DescribeError::Broken(other.to_string()),
    }
}

fn blur(picture: &DynamicImage) -> Result<String, DescribeError> {
    let small = DynamicImage::ImageRgb8(on_white(&picture.thumbnail(BLUR_SIDE, BLUR_SIDE))).to_rgba8();
    blurhash::encode(4, 3, small.width(), small.height(), small.as_raw())
        .map_err(|error| DescribeError::Broken(error.to_string()))
}

/// Scales down and encodes: PNG where there is transparency and room, else JPEG of falling quality, then smaller.
fn shrink(picture: DynamicImage, budget: Budget) -> Result<(Bytes, MediaType, DynamicImage), DescribeError> {
    let mut picture = fit(picture, budget.side);
    if is_transparent(&picture) {
        let mut out = Cursor::new(Vec::new());
        picture.write_to(&mut out, ImageFormat::Png).map_err(broken)?;
        if out.get_ref().len() <= budget.bytes {
            return Ok((out.into_inner().into(), MediaType::Png, picture));
        }
    }
    loop {
        let flat = on_white(&picture);
        let mut smallest = Vec::new();
        for quality in QUALITIES {
            let mut out = Vec::new();
            JpegEncoder::new_with_quality(&mut out, quality).encode_image(&flat).map_err(broken)?;
            if out.len() <= budget.bytes {
                return Ok((out.into(), MediaType::Jpeg, picture));
            }
            smallest = out;
        }
        let side = picture.width().max(picture.height());
        if side <= BLUR_SIDE {
            return Ok((smallest.into(), MediaType::Jpeg, picture));
        }
        picture = fit(picture, side * 3 / 4);
    }
}

fn fit(picture: DynamicImage, side: u32) -> DynamicImage {
    if picture.width().max(picture.height()) <= side {
        return picture;
    }
    picture.resize(side, side, FilterType::CatmullRom)
}

/// Whether any pixel is: decoders of GIF and many PNGs deliver an alpha channel that nothing uses.
fn is_transparent(picture: &DynamicImage) -> bool {
    picture.color().has_alpha() && picture.to_rgba8().pixels().any(|pixel| pixel.0[3] < 255)
}

/// Transparent parts become white: JPEG has none, and the blurhash would take their hidden colour.
fn on_white(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let rgba = picture.to_rgba8();
    let mut flat = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in flat.pixels_mut().zip(rgba.pixels()) {
        let [red, green, blue, alpha] = from.0.map(u32::from);
        let over = |colour: u32| ((colour * alpha + 255 * (255 - alpha)) / 255) as u8;
        *to = Rgb([over(red), over(green), over(blue)]);
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::testing::{encoded, flat, gradient, moving, noise};

    #[test]
    fn a_small_picture_is_kept_byte_for_byte() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let bytes = encoded(&gradient(640, 360), format);
            let described = describe(&bytes, Budget::POST).unwrap();
            assert_eq!(described.bytes, bytes, "{format:?}");
            assert_eq!((described.width, described.height), (640, 360));
            assert_eq!(described.blurhash.chars().count(), 28);
            assert!(described.blurhash.starts_with('L'), "4×3 components: {}", described.blurhash);
        }
    }

    #[test]
    fn of_a_gif_a_still_is_left_unless_it_is_to_move() {
        let bytes = moving(160, 90, 3);
        let still = describe(&bytes, Budget::PROFILE).unwrap();
        assert_eq!((still.media_type, still.width, still.height), (MediaType::Jpeg, 160, 90));
        let whole = describe_moving(&bytes).unwrap();
        assert_eq!((whole.media_type, whole.width, whole.height), (MediaType::Gif, 160, 90));
        assert_eq!(whole.bytes, bytes);
        assert_eq!(whole.blurhash.chars().count(), 28);
    }

    #[test]
    fn what_is_too_much_to_move_is_refused() {
        let jpeg = encoded(&gradient(64, 64), ImageFormat::Jpeg);
        assert_eq!(describe_moving(&jpeg), Err(DescribeError::Unsupported(Format::Jpeg)));
        let wide = moving(1300, 720, 1);
        assert_eq!(describe_moving(&wide), Err(DescribeError::TooLargeToMove));
        assert_eq!(describe_moving(&moving(4, 4, MOVING_FRAMES + 1)), Err(DescribeError::TooLargeToMove));
        let mut heavy = moving(16, 16, 2).to_vec();
        heavy.resize(MOVING_BYTES + 1, 0);
        assert_eq!(describe_moving(&heavy.into()), Err(DescribeError::TooLargeToMove));
        // The second frame is torn though the file ends as it should.
        let whole = moving(64, 64, 2);
        let mut torn = whole.slice(..whole.len() - 40).to_vec();
        torn.push(0x3b);
        assert!(matches!(describe_moving(&torn.into()), Err(DescribeError::Broken(_))));
    }

    #[test]
    fn large_pictures_are_shrunk_into_the_budget() {
        let budget = Budget { side: 128, bytes: 50_000 };
        let table = [
            (gradient(192, 108), ImageFormat::Jpeg, (128, 72), MediaType::Jpeg),
            (gradient(108, 192), ImageFormat::Jpeg, (72, 128), MediaType::Jpeg),
            (gradient(200, 100), ImageFormat::Gif, (128, 64), MediaType::Jpeg),
            (gradient(200, 100), ImageFormat::Png, (128, 64), MediaType::Jpeg),
            (flat(160, 160, [10, 20, 30, 0]), ImageFormat::Png, (128, 128), MediaType::Png),
        ];
        for (picture, format, size, media_type) in table {
            let described = describe(&encoded(&picture, format), budget).unwrap();
            assert_eq!((described.width, described.height), size);
            assert_eq!(described.media_type, media_type, "{format:?} {size:?}");
            assert!(described.bytes.len() <= budget.bytes);
            let again = decode(&described.bytes, described.media_type).unwrap();
            assert_eq!((again.width(), again.height()), size);
        }
    }

    #[test]
    fn a_picture_that_will_not_compress_loses_pixels() {
        let budget = Budget { side: 256, bytes: 4_000 };
        let described = describe(&encoded(&noise(256, 256), ImageFormat::Png), budget).unwrap();
        assert!(described.bytes.len() <= budget.bytes && described.width < 256);
        assert_eq!(described.media_type, MediaType::Jpeg);
    }

    #[test]
    fn transparency_counts_as_white() {
        let hidden_black = describe(&encoded(&flat(64, 64, [0, 0, 0, 0]), ImageFormat::Png), Budget::POST);
        let white = describe(&encoded(&flat(64, 64, [255; 4]), ImageFormat::Png), Budget::POST);
        assert_eq!(hidden_black.unwrap().blurhash, white.unwrap().blurhash);
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        let jpeg = encoded(&gradient(64, 64), ImageFormat::Jpeg);
        let png = encoded(&gradient(64, 64), ImageFormat::Png);
        let unsupported = |bytes: &'static [u8]| describe(&Bytes::from_static(bytes), Budget::POST);
        assert_eq!(unsupported(b"<svg/>"), Err(DescribeError::Unsupported(Format::Svg)));
        assert_eq!(unsupported(b""), Err(DescribeError::Unsupported(Format::Unknown)));
        for torn in [jpeg.slice(..20), png.slice(..png.len() / 2)] {
            assert!(matches!(describe(&torn, Budget::POST), Err(DescribeError::Broken(_))));
        }
        let wide = encoded(&flat(MAX_SIDE + 1, 1, [1, 2, 3, 255]), ImageFormat::Png);
        assert_eq!(describe(&wide, Budget::POST), Err(DescribeError::TooLarge));
    }

    #[test]
    fn a_bomb_is_refused_before_its_pixels_are_made() {
        // A PNG header that claims 8192 × 8192 × RGBA and holds nothing.
        let mut bomb = encoded(&flat(1, 1, [0; 4]), ImageFormat::Png).to_vec();
        bomb[16..20].copy_from_slice(&8192_u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&8192_u32.to_be_bytes());
        let crc = png_crc(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(describe(&bomb.into(), Budget::POST), Err(DescribeError::TooLarge));
    }

    fn png_crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, byte| {
            (0..8)
                .fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
        })
    }
}
