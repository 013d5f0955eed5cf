//! The mark drawn for a brand without a picture: its initials, centred, in black or white.
//!
//! The only floating-point arithmetic of the server: positions and shades of pixels, never money. It must not
//! fail for any name. Called by the parent module alone.
#![expect(clippy::float_arithmetic, reason = "glyph geometry and contrast, not money")]

use ab_glyph::{Font, FontRef, GlyphId, OutlinedGlyph, Rect, ScaleFont, point};
use image::{Rgb, RgbImage};

use super::blend;

const BLACK: [u8; 3] = [0, 0, 0];
const WHITE: [u8; 3] = [255, 255, 255];

/// One or two initials of `name` on `background`, or a plain disc where the font has no glyph for the first.
pub(super) fn letter_mark(name: &str, background: [u8; 3], width: u32, height: u32) -> RgbImage {
    let mut canvas = RgbImage::from_pixel(width, height, Rgb(background));
    let font = FontRef::try_from_slice(dejavu::sans::bold()).expect("the built-in font is a valid font");
    let letters = initials(name, &font);
    if letters.is_empty() {
        draw_disc(&mut canvas, ink_on(background));
    } else {
        draw_letters(&mut canvas, &font, &letters, ink_on(background));
    }
    canvas
}

/// Glyphs of the first letters of the first two words; empty when the font lacks the first of them, so that a
/// name in an unknown script gets a plain disc and not the font's replacement box.
fn initials(name: &str, font: &FontRef<'_>) -> Vec<GlyphId> {
    let mut letters = Vec::new();
    for word in name.split_whitespace() {
        let Some(letter) = word.chars().find(|letter| letter.is_alphanumeric()) else {
            continue;
        };
        let capital = letter.to_uppercase().next().unwrap_or(letter);
        let glyph = font.glyph_id(capital);
        if glyph == GlyphId::default() || font.outline(glyph).is_none() {
            break;
        }
        letters.push(glyph);
        if letters.len() == 2 {
            break;
        }
    }
    letters
}

fn draw_letters(canvas: &mut RgbImage, font: &FontRef<'_>, letters: &[GlyphId], ink: [u8; 3]) {
    let (width, height) = (canvas.width() as f32, canvas.height() as f32);
    // The scale is the font's line height; a capital is a bit over 60 % of it, so about 40 % of the picture.
    let mut scale = height * 0.64;
    let mut outlines = lay_out(font, letters, scale);
    let mut bounds = bounds_of(&outlines);
    let allowed_width = width * 0.8;
    if bounds.width() > allowed_width {
        scale *= allowed_width / bounds.width();
        outlines = lay_out(font, letters, scale);
        bounds = bounds_of(&outlines);
    }
    let shift_x = ((width - bounds.width()) / 2.0 - bounds.min.x).round();
    let shift_y = ((height - bounds.height()) / 2.0 - bounds.min.y).round();
    for outline in &outlines {
        let corner = outline.px_bounds().min;
        let (left, top) = ((corner.x + shift_x) as i64, (corner.y + shift_y) as i64);
        outline.draw(|x, y, coverage| {
            let x = u32::try_from(left + i64::from(x));
            let y = u32::try_from(top + i64::from(y));
            if let (Ok(x), Ok(y)) = (x, y) {
                paint(canvas, x, y, ink, coverage);
            }
        });
    }
}

fn lay_out(font: &FontRef<'_>, letters: &[GlyphId], scale: f32) -> Vec<OutlinedGlyph> {
    let scaled = font.as_scaled(scale);
    let mut caret = 0.0;
    let mut outlines = Vec::new();
    let mut previous = None;
    for letter in letters {
        if let Some(previous) = previous {
            caret += scaled.kern(previous, *letter);
        }
        let glyph = letter.with_scale_and_position(scale, point(caret, 0.0));
        outlines.extend(font.outline_glyph(glyph));
        caret += scaled.h_advance(*letter);
        previous = Some(*letter);
    }
    outlines
}

/// The smallest box around all outlines, in whole pixels (`px_bounds` rounds outwards).
fn bounds_of(outlines: &[OutlinedGlyph]) -> Rect {
    outlines
        .iter()
        .map(OutlinedGlyph::px_bounds)
        .reduce(|all, one| Rect {
            min: point(all.min.x.min(one.min.x), all.min.y.min(one.min.y)),
            max: point(all.max.x.max(one.max.x), all.max.y.max(one.max.y)),
        })
        .unwrap_or_default()
}

fn draw_disc(canvas: &mut RgbImage, ink: [u8; 3]) {
    let (width, height) = canvas.dimensions();
    let (middle_x, middle_y) = (width as f32 / 2.0, height as f32 / 2.0);
    let radius = height as f32 * 0.28;
    for y in 0..height {
        for x in 0..width {
            let distance = (x as f32 + 0.5 - middle_x).hypot(y as f32 + 0.5 - middle_y);
            // Half a pixel inside to half a pixel outside the edge is shaded: a smooth edge.
            paint(canvas, x, y, ink, radius + 0.5 - distance);
        }
    }
}

/// Lays ink over one pixel; a coverage outside 0 to 1 counts as the nearer end, a pixel outside the canvas is
/// left out.
fn paint(canvas: &mut RgbImage, x: u32, y: u32, ink: [u8; 3], coverage: f32) {
    if let Some(pixel) = canvas.get_pixel_mut_checked(x, y) {
        let coverage = (coverage.clamp(0.0, 1.0) * 255.0).round() as u8;
        pixel.0 = blend(pixel.0, ink, coverage);
    }
}

/// Black or white, whichever stands out more by the contrast ratio of WCAG 2.
fn ink_on(background: [u8; 3]) -> [u8; 3] {
    let linear = |channel: u8| {
        let share = f32::from(channel) / 255.0;
        if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    let [red, green, blue] = background.map(linear);
    let luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    // Both ratios are equal where (luminance + 0.05)^2 = 1.05 * 0.05.
    if luminance > 0.179 { BLACK } else { WHITE }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLUE: [u8; 3] = [0, 0, 255];

    fn ink_count(picture: &RgbImage, ink: [u8; 3]) -> usize {
        picture.pixels().filter(|pixel| pixel.0 == ink).count()
    }

    #[test]
    fn up_to_two_initials_are_taken_and_an_unknown_script_gets_a_disc() {
        let font = FontRef::try_from_slice(dejavu::sans::bold()).expect("the built-in font");
        let table = [
            ("Airbnb", "A"),
            ("airbnb us", "AU"),
            ("The North Face", "TN"),
            ("& Other Stories", "OS"),
            ("7-Eleven", "7"),
            ("Şok Market", "ŞM"),
            ("Airbnb 中国", "A"),
            ("中国移动", ""),
            ("!!!", ""),
            ("", ""),
        ];
        for (name, expected) in table {
            let glyphs: Vec<GlyphId> = expected.chars().map(|letter| font.glyph_id(letter)).collect();
            assert_eq!(initials(name, &font), glyphs, "{name}");
        }
        let disc = letter_mark("中国移动", BLUE, 500, 318);
        assert_eq!(disc.get_pixel(250, 159).0, WHITE);
        // A disc of radius 0.28 * 318 = 89 px has an area of about 24,900 px.
        let area = ink_count(&disc, WHITE);
        assert!((24_000..25_500).contains(&area), "{area}");
        assert_eq!(disc.get_pixel(250 + 95, 159).0, BLUE);
    }

    #[test]
    fn initials_stay_inside_the_picture_and_in_its_middle() {
        // The second name's letters are wider than the picture at the usual size, so they are drawn smaller.
        for name in ["Www Www", "Ǆep Ǆep", "I", "Jim"] {
            let picture = letter_mark(name, WHITE, 300, 190);
            let inked = || picture.enumerate_pixels().filter(|(_, _, pixel)| pixel.0 != WHITE);
            let (left, right) = (inked().map(|(x, _, _)| x).min(), inked().map(|(x, _, _)| x).max());
            let (top, bottom) = (inked().map(|(_, y, _)| y).min(), inked().map(|(_, y, _)| y).max());
            let (left, right) = (left.expect("ink"), right.expect("ink"));
            let (top, bottom) = (top.expect("ink"), bottom.expect("ink"));
            assert!(left >= 28 && right <= 271, "{name}: columns {left} to {right}");
            assert!(left.abs_diff(299 - right) <= 3, "{name}: columns {left} to {right}");
            assert!(top.abs_diff(189 - bottom) <= 3, "{name}: rows {top} to {bottom}");
        }
    }

    #[test]
    fn ink_is_black_on_light_and_white_on_dark() {
        let table = [
            ([255, 255, 255], BLACK),
            ([255, 255, 0], BLACK),
            ([118, 118, 118], BLACK),
            ([117, 117, 117], WHITE),
            ([0, 0, 255], WHITE),
            ([0, 0, 0], WHITE),
        ];
        for (background, expected) in table {
            assert_eq!(ink_on(background), expected, "{background:?}");
        }
    }
}
