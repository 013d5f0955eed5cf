//! Brand logos in the six variants of contract section 7, resized from an uploaded picture or drawn.
//!
//! Pure: bytes in, bytes out. It must never read a file or decode a picture beyond the limits below, because
//! uploads are foreign input. Called by the HTTP layer for `/logos/...` and by the catalogue import, which
//! refuses a picture that does not render.

mod letter_mark;

use std::io::Cursor;

use image::{
    DynamicImage, ImageError, ImageReader, Limits, Rgb, RgbImage, Rgba,
    codecs::{jpeg::JpegEncoder, webp::WebPEncoder},
    imageops::{self, FilterType},
};

use self::letter_mark::letter_mark;
use crate::entropy::from_hex;

/// Widest and highest picture taken, in pixels.
pub const MAX_SIDE_PX: u32 = 4_000;
/// Largest picture file taken, in bytes.
pub const MAX_FILE_BYTES: usize = 5 * 1024 * 1024;

/// What decoding may allocate: the largest picture at 16 bits a channel, and room for the decoder itself.
const MAX_DECODED_BYTES: u64 = 160 * 1024 * 1024;
/// Size of a drawn mark where a variant asks for the original.
const MARK_SIZE_PX: (u32, u32) = (500, 318);
const JPEG_QUALITY: u8 = 85;

/// One of the six forms in which a logo is served (contract section 7). The names are the suffixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// `.webp`, in the original size.
    Webp,
    /// `_500x318.webp`
    Webp500x318,
    /// `_300x190.webp`
    Webp300x190,
    /// `.jpg`, in the original size.
    Jpg,
    /// `_500x318.jpg`
    Jpg500x318,
    /// `_300x190.jpg`
    Jpg300x190,
}

/// What a logo is made of.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// An uploaded PNG, JPEG or WebP file; `background` shows through and fills the box around it.
    Image {
        /// The file.
        bytes: &'a [u8],
        /// Red, green, blue.
        background: [u8; 3],
    },
    /// No picture: one or two initials of `name` on `background`.
    LetterMark {
        /// The brand's name.
        name: &'a str,
        /// Red, green, blue.
        background: [u8; 3],
    },
}

/// Why a logo was not made. Everything but [`LogoError::Encode`] is the fault of the uploaded picture.
#[derive(Debug, thiserror::Error)]
pub enum LogoError {
    /// The file is above [`MAX_FILE_BYTES`].
    #[error("the picture has {bytes} bytes; the limit is 5 MiB")]
    TooManyBytes {
        /// Size of the file.
        bytes: usize,
    },
    /// Wider or higher than [`MAX_SIDE_PX`], or larger than that when decoded.
    #[error("the picture is too large; the limit is 4,000 x 4,000 pixels")]
    TooManyPixels,
    /// Neither PNG, JPEG nor WebP.
    #[error("the picture is not a PNG, JPEG or WebP file")]
    Format(#[source] ImageError),
    /// Cut off or damaged.
    #[error("the picture is damaged and cannot be decoded")]
    Broken(#[source] ImageError),
    /// The result could not be written to memory.
    #[error("the logo could not be encoded")]
    Encode(#[source] ImageError),
}

#[derive(Clone, Copy)]
enum FileFormat {
    Webp,
    Jpeg,
}

impl Variant {
    /// All six, sized ones first: `_500x318.webp` also ends in `.webp`.
    pub const ALL: [Self; 6] =
        [Self::Webp500x318, Self::Webp300x190, Self::Jpg500x318, Self::Jpg300x190, Self::Webp, Self::Jpg];

    /// What a client appends to `logo_base_url`.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Webp => ".webp",
            Self::Webp500x318 => "_500x318.webp",
            Self::Webp300x190 => "_300x190.webp",
            Self::Jpg => ".jpg",
            Self::Jpg500x318 => "_500x318.jpg",
            Self::Jpg300x190 => "_300x190.jpg",
        }
    }

    /// The variant with exactly this suffix.
    pub fn from_suffix(suffix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variant| variant.suffix() == suffix)
    }

    /// The value of the Content-Type header.
    pub const fn content_type(self) -> &'static str {
        match self.format() {
            FileFormat::Webp => "image/webp",
            FileFormat::Jpeg => "image/jpeg",
        }
    }

    const fn format(self) -> FileFormat {
        match self {
            Self::Webp | Self::Webp500x318 | Self::Webp300x190 => FileFormat::Webp,
            Self::Jpg | Self::Jpg500x318 | Self::Jpg300x190 => FileFormat::Jpeg,
        }
    }

    /// Width and height in pixels; `None` keeps the original's.
    const fn target(self) -> Option<(u32, u32)> {
        match self {
            Self::Webp | Self::Jpg => None,
            Self::Webp500x318 | Self::Jpg500x318 => Some((500, 318)),
            Self::Webp300x190 | Self::Jpg300x190 => Some((300, 190)),
        }
    }
}

/// Splits a file name such as `airbnb_500x318.webp` into slug and variant; `None` without a known suffix or
/// without a slug. The slug is not checked: it is looked up, never opened.
pub fn split_name(name: &str) -> Option<(&str, Variant)> {
    Variant::ALL
        .into_iter()
        .find_map(|variant| name.strip_suffix(variant.suffix()).map(|slug| (slug, variant)))
        .filter(|(slug, _)| !slug.is_empty())
}

/// Reads a colour of the form `#RRGGBB`.
pub fn parse_color(text: &str) -> Option<[u8; 3]> {
    from_hex(text.strip_prefix('#')?)
}

/// The file of one variant: WebP lossless, JPEG at quality 85, without transparency. A picture is fitted into
/// the box whole and in its proportions, enlarged if it is smaller, and centred on the background.
///
/// Takes tens of milliseconds, for a picture at the limits seconds: not on a thread that serves sockets, and the
/// caller keeps the result.
///
/// # Errors
/// [`LogoError`]; a letter mark cannot fail except in [`LogoError::Encode`].
pub fn render(source: &Source<'_>, variant: Variant) -> Result<Vec<u8>, LogoError> {
    let picture = match *source {
        Source::Image { bytes, background } => {
            let flat = flatten(decode(bytes)?, background);
            match variant.target() {
                Some((width, height)) => fit(&flat, width, height, background),
                None => flat,
            }
        }
        Source::LetterMark { name, background } => {
            let (width, height) = variant.target().unwrap_or(MARK_SIZE_PX);
            letter_mark(name, background, width, height)
        }
    };
    encode(&picture, variant.format()).map_err(LogoError::Encode)
}

fn decode(bytes: &[u8]) -> Result<DynamicImage, LogoError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(LogoError::TooManyBytes { bytes: bytes.len() });
    }
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE_PX);
    limits.max_image_height = Some(MAX_SIDE_PX);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|source| LogoError::Broken(ImageError::IoError(source)))?;
    reader.limits(limits);
    reader.decode().map_err(|source| match source {
        ImageError::Limits(_) => LogoError::TooManyPixels,
        ImageError::Unsupported(_) => LogoError::Format(source),
        _ => LogoError::Broken(source),
    })
}

fn encode(picture: &RgbImage, format: FileFormat) -> Result<Vec<u8>, ImageError> {
    let mut file = Vec::new();
    match format {
        FileFormat::Webp => picture.write_with_encoder(WebPEncoder::new_lossless(&mut file))?,
        FileFormat::Jpeg => picture.write_with_encoder(JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY))?,
    }
    Ok(file)
}

/// Lays the picture on its background, before any resizing: resizing first would mix in the colour that
/// transparent pixels happen to have.
fn flatten(picture: DynamicImage, background: [u8; 3]) -> RgbImage {
    let picture = picture.into_rgba8();
    let (width, height) = picture.dimensions();
    RgbImage::from_fn(width, height, |x, y| {
        let Rgba([red, green, blue, alpha]) = *picture.get_pixel(x, y);
        Rgb(blend(background, [red, green, blue], alpha))
    })
}

fn fit(picture: &RgbImage, box_width: u32, box_height: u32, background: [u8; 3]) -> RgbImage {
    let (width, height) = fitted_size(picture.dimensions(), (box_width, box_height));
    let resized = imageops::resize(picture, width, height, FilterType::Lanczos3);
    let mut canvas = RgbImage::from_pixel(box_width, box_height, Rgb(background));
    let (left, top) = ((box_width - width) / 2, (box_height - height) / 2);
    imageops::replace(&mut canvas, &resized, i64::from(left), i64::from(top));
    canvas
}

/// The largest size with the proportions of `size` that the box holds; never below one pixel.
fn fitted_size(size: (u32, u32), available: (u32, u32)) -> (u32, u32) {
    // At least 1: no decoder gives an empty picture, and a division by zero would be a panic.
    let (width, height) = (u64::from(size.0.max(1)), u64::from(size.1.max(1)));
    let (box_width, box_height) = (u64::from(available.0), u64::from(available.1));
    let (fitted_width, fitted_height) = if width * box_height >= height * box_width {
        (box_width, (height * box_width + width / 2) / width)
    } else {
        ((width * box_height + height / 2) / height, box_height)
    };
    let pixels = |side: u64, limit: u32| u32::try_from(side).unwrap_or(limit).clamp(1, limit);
    (pixels(fitted_width, available.0), pixels(fitted_height, available.1))
}

fn blend(below: [u8; 3], above: [u8; 3], coverage: u8) -> [u8; 3] {
    let coverage = u32::from(coverage);
    std::array::from_fn(|channel| {
        let mixed = u32::from(above[channel]) * coverage + u32::from(below[channel]) * (255 - coverage);
        u8::try_from((mixed + 127) / 255).expect("a mean of two bytes is a byte")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, RgbaImage, codecs::png::PngEncoder};

    const BLUE: [u8; 3] = [0, 0, 255];
    const RED: [u8; 3] = [255, 0, 0];
    const WHITE: [u8; 3] = [255, 255, 255];

    fn png_file(width: u32, height: u32, color: [u8; 4]) -> Vec<u8> {
        let mut file = Vec::new();
        RgbaImage::from_pixel(width, height, Rgba(color))
            .write_with_encoder(PngEncoder::new(&mut file))
            .expect("a PNG can be written to memory");
        file
    }

    fn rendered(source: &Source<'_>, variant: Variant) -> RgbImage {
        let file = render(source, variant).expect("it renders");
        let format = image::guess_format(&file).expect("a known format");
        match variant.format() {
            FileFormat::Webp => assert_eq!(format, ImageFormat::WebP),
            FileFormat::Jpeg => assert_eq!(format, ImageFormat::Jpeg),
        }
        image::load_from_memory(&file).expect("it decodes").into_rgb8()
    }

    /// JPEG and resampling move a colour by a few steps; another colour is far further away.
    fn assert_color(picture: &RgbImage, x: u32, y: u32, expected: [u8; 3]) {
        let found = picture.get_pixel(x, y).0;
        let near = (0..3).all(|channel| found[channel].abs_diff(expected[channel]) <= 8);
        assert!(near, "at {x},{y}: {found:?}, expected {expected:?}");
    }

    #[test]
    fn names_split_into_slug_and_the_six_suffixes_of_the_contract() {
        let table = [
            ("airbnb.webp", Some(("airbnb", Variant::Webp))),
            ("airbnb_500x318.webp", Some(("airbnb", Variant::Webp500x318))),
            ("airbnb_300x190.webp", Some(("airbnb", Variant::Webp300x190))),
            ("airbnb.jpg", Some(("airbnb", Variant::Jpg))),
            ("airbnb_500x318.jpg", Some(("airbnb", Variant::Jpg500x318))),
            ("airbnb_300x190.jpg", Some(("airbnb", Variant::Jpg300x190))),
            ("a.b-c_d.webp", Some(("a.b-c_d", Variant::Webp))),
            ("airbnb_300x300.webp", Some(("airbnb_300x300", Variant::Webp))),
            ("airbnb.png", None),
            ("airbnb.WEBP", None),
            ("_500x318.webp", None),
            (".jpg", None),
            ("", None),
        ];
        for (name, expected) in table {
            assert_eq!(split_name(name), expected, "{name}");
        }
        for variant in Variant::ALL {
            assert_eq!(Variant::from_suffix(variant.suffix()), Some(variant));
        }
        assert_eq!(Variant::from_suffix("webp"), None);
    }

    #[test]
    fn colors_are_read_in_one_form_only() {
        assert_eq!(parse_color("#FF5a00"), Some([255, 90, 0]));
        for text in ["FF5A00", "#FF5A0", "#FF5A000", "#GG5A00", "#", "##F5A00", "#é5A00"] {
            assert_eq!(parse_color(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_keep_proportions_and_fill_the_box_in_one_direction() {
        let table = [
            ((1_000, 636), (500, 318)),
            ((100, 50), (500, 250)),
            ((50, 100), (159, 318)),
            ((4_000, 1), (500, 1)),
            ((1, 4_000), (1, 318)),
        ];
        for (size, expected) in table {
            assert_eq!(fitted_size(size, (500, 318)), expected, "{size:?}");
        }
    }

    #[test]
    fn a_picture_is_fitted_on_its_background_in_all_six_variants() {
        let file = png_file(100, 50, [255, 0, 0, 255]);
        let source = Source::Image { bytes: &file, background: BLUE };
        for variant in Variant::ALL {
            let picture = rendered(&source, variant);
            match variant.target() {
                None => {
                    assert_eq!(picture.dimensions(), (100, 50));
                    assert_color(&picture, 50, 25, RED);
                }
                Some((width, height)) => {
                    assert_eq!(picture.dimensions(), (width, height));
                    // Twice as wide as high: it fills the width, and blue bands remain above and below.
                    assert_color(&picture, width / 2, height / 2, RED);
                    assert_color(&picture, 3, height / 2, RED);
                    assert_color(&picture, width / 2, 3, BLUE);
                    assert_color(&picture, width / 2, height - 4, BLUE);
                }
            }
        }
    }

    #[test]
    fn transparency_shows_the_background() {
        let clear = png_file(10, 10, [255, 0, 0, 0]);
        let picture = rendered(&Source::Image { bytes: &clear, background: BLUE }, Variant::Webp);
        assert_color(&picture, 5, 5, BLUE);
        let half = png_file(10, 10, [255, 0, 0, 128]);
        let picture = rendered(&Source::Image { bytes: &half, background: BLUE }, Variant::Webp);
        assert_color(&picture, 5, 5, [128, 0, 127]);
    }

    #[test]
    fn a_picture_beyond_the_limits_or_no_picture_at_all_is_refused() {
        let refused = |bytes: &[u8]| {
            let source = Source::Image { bytes, background: BLUE };
            render(&source, Variant::Webp).expect_err("it is refused")
        };
        for (width, height) in [(4_001, 1), (1, 4_001)] {
            let error = refused(&png_file(width, height, [0, 0, 0, 255]));
            assert!(matches!(error, LogoError::TooManyPixels), "{error}");
        }
        let error = refused(&vec![0; MAX_FILE_BYTES + 1]);
        assert!(matches!(error, LogoError::TooManyBytes { .. }), "{error}");
        for bytes in [&b""[..], b"<svg/>", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"] {
            let error = refused(bytes);
            assert!(matches!(error, LogoError::Format(_)), "{error}");
        }
        let whole = png_file(64, 64, [1, 2, 3, 255]);
        let error = refused(&whole[..whole.len() / 2]);
        assert!(matches!(error, LogoError::Broken(_)), "{error}");
        rendered(&Source::Image { bytes: &png_file(4_000, 1, [0, 0, 0, 255]), background: BLUE }, Variant::Jpg);
    }

    #[test]
    fn a_letter_mark_is_centred_in_all_six_variants() {
        let source = Source::LetterMark { name: "Hotel", background: BLUE };
        for variant in Variant::ALL {
            let picture = rendered(&source, variant);
            let (width, height) = variant.target().unwrap_or((500, 318));
            assert_eq!(picture.dimensions(), (width, height));
            for (x, y) in [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)] {
                assert_color(&picture, x, y, BLUE);
            }
            // An H has its bar in the middle and is open above and below it.
            assert_color(&picture, width / 2, height / 2, WHITE);
            assert_color(&picture, width / 2, height / 2 - height / 8, BLUE);
            assert_color(&picture, width / 2, height / 2 + height / 8, BLUE);
        }
    }
}
