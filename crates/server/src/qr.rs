//! QR codes as PNG pictures: payment requests (contract section 3.12) and eSIM activation strings.
//!
//! Pure: text in, picture out. It must never be given a code that the caller may not show. Called by the
//! HTTP layer for `GET /v3/qrs/{orderId}` and for the `qr_image_url` of a delivered eSIM.

use image::{GrayImage, ImageError, Luma, codecs::png::PngEncoder};
use qrcode::{Color, EcLevel, QrCode};

/// Light modules around the symbol; ISO/IEC 18004 asks for four.
const QUIET_ZONE_MODULES: usize = 4;

/// Narrowest picture in pixels: smaller ones are hard to scan from a second screen.
const MIN_WIDTH_PX: usize = 300;

const DARK: Luma<u8> = Luma([0]);
const LIGHT: Luma<u8> = Luma([255]);

/// Why no picture was made.
#[derive(Debug, thiserror::Error)]
pub enum QrError {
    /// More text than the largest symbol holds at level M (about 2,300 bytes).
    #[error("the text of {length} bytes does not fit into a QR code; shorten it below 2,300 bytes")]
    TooLong {
        /// Length of the text in bytes.
        length: usize,
        /// What the encoder said.
        #[source]
        source: qrcode::types::QrError,
    },
    /// The picture could not be written to memory.
    #[error("the QR picture could not be encoded as PNG")]
    Encode(#[source] ImageError),
}

/// An 8-bit grey PNG of `text`: error correction M, a quiet zone of four modules, square, at least 300 pixels
/// wide, every module the same whole number of pixels.
///
/// # Errors
/// [`QrError::TooLong`] above about 2,300 bytes.
pub fn png(text: &str) -> Result<Vec<u8>, QrError> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)
        .map_err(|source| QrError::TooLong { length: text.len(), source })?;
    let modules = code.width() + 2 * QUIET_ZONE_MODULES;
    let scale = MIN_WIDTH_PX.div_ceil(modules);
    let side = u32::try_from(modules * scale).expect("at most 185 modules, scaled to a few hundred pixels");
    let picture = GrayImage::from_fn(side, side, |x, y| {
        let column = (x as usize / scale).checked_sub(QUIET_ZONE_MODULES);
        let row = (y as usize / scale).checked_sub(QUIET_ZONE_MODULES);
        module_shade(&code, column, row)
    });
    let mut file = Vec::new();
    picture.write_with_encoder(PngEncoder::new(&mut file)).map_err(QrError::Encode)?;
    Ok(file)
}

/// `None` and anything beyond the symbol's width is the quiet zone.
fn module_shade(code: &QrCode, column: Option<usize>, row: Option<usize>) -> Luma<u8> {
    let (Some(column), Some(row)) = (column, row) else {
        return LIGHT;
    };
    if column >= code.width() || row >= code.width() {
        return LIGHT;
    }
    match code[(column, row)] {
        Color::Dark => DARK,
        Color::Light => LIGHT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(text: &str) -> GrayImage {
        let file = png(text).expect("the text fits");
        assert_eq!(file[24..26], [8, 0], "bit depth 8, colour type 0 (grey) in the PNG header");
        image::load_from_memory(&file).expect("a PNG that decodes").into_luma8()
    }

    #[test]
    fn the_smallest_symbol_stands_where_the_standard_puts_it() {
        // Eight digits make version 1: 21 modules and twice 4 of quiet zone are 29; 300 / 29 rounds up to 11.
        let drawn = picture("01234567");
        assert_eq!(drawn.dimensions(), (319, 319));
        let shade = |column: u32, row: u32| {
            let middle = |module: u32| (4 + module) * 11 + 5;
            drawn.get_pixel(middle(column), middle(row)).0[0]
        };
        // Finder patterns in three corners: dark ring, light ring, dark core, then a light separator.
        for (left, top) in [(0, 0), (14, 0), (0, 14)] {
            assert_eq!(shade(left, top), 0);
            assert_eq!(shade(left + 6, top + 6), 0);
            assert_eq!(shade(left + 1, top + 1), 255);
            assert_eq!(shade(left + 3, top + 3), 0);
        }
        assert_eq!(shade(7, 0), 255);
        // Timing pattern in row 6, and the module that is always dark: column 8, row 4 * version + 9.
        assert_eq!([shade(8, 6), shade(9, 6), shade(10, 6)], [0, 255, 0]);
        assert_eq!(shade(8, 13), 0);
    }

    #[test]
    fn the_quiet_zone_is_light_on_all_sides() {
        let drawn = picture("01234567");
        for (x, y, pixel) in drawn.enumerate_pixels() {
            let inside = (44..275).contains(&x) && (44..275).contains(&y);
            assert!(inside || pixel.0[0] == 255, "dark pixel at {x},{y}");
        }
    }

    #[test]
    fn different_texts_give_different_pictures_and_long_ones_stay_wide_enough() {
        assert_ne!(picture("solana:A?amount=1"), picture("solana:A?amount=2"));
        assert!(picture(&"x".repeat(2_000)).width() >= 300);
    }

    #[test]
    fn a_text_beyond_the_largest_symbol_is_refused() {
        let refused = png(&"x".repeat(3_000)).expect_err("version 40 at level M holds 2,331 bytes");
        assert!(matches!(refused, QrError::TooLong { length: 3_000, .. }), "{refused}");
    }
}
