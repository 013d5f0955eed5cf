//! The catalogue file: JSON text in, a whole `Catalogue` or the list of its faults out (`docs/catalogue.md`).
//!
//! All or nothing: one fault anywhere and nothing is imported, but reading goes on to report up to twenty. Must never
//! touch disk or database: the import command and the demo hand over the text and store the result.
//! The tour: `read` (JSON with line numbers), `names` (ids and defaults), `records` and `products`, `coupons`.

mod coupons;
mod names;
mod products;
mod read;
mod records;
#[cfg(test)]
mod tests;

pub use read::{FileError, MOST_ERRORS};

use domain::catalog::{Brand, Catalogue, Homepage};
use names::Slugs;
use read::{Errors, Object, Value};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What `format` must say.
pub const FORMAT: &str = "kiosk-catalogue-1";
/// Brand records of one file.
pub const MOST_BRANDS: usize = 100_000;
/// Brands in one list of a home page.
const MOST_FEATURED: usize = 1_000;
/// Progress is told after so many brand records, and after the last.
const PROGRESS_EVERY: usize = 500;

/// A catalogue file that holds no fault.
#[derive(Debug, Clone)]
pub struct CatalogueFile {
    pub catalogue: Catalogue,
    /// Logo slug to the name of the image beside the catalogue file; brands without one are absent.
    pub logos: BTreeMap<String, String>,
}

/// Reads a catalogue; `id` names this import. `progress` hears how many brand records are read so far.
///
/// # Errors
/// Every fault found, at most [`MOST_ERRORS`], in the order in which they were met; never an empty list.
pub fn read(text: &str, id: String, progress: &mut dyn FnMut(usize)) -> Result<Catalogue, Vec<FileError>> {
    read_with_logos(text, id, progress).map(|file| file.catalogue)
}

/// The same, with the logo images that the file names.
///
/// # Errors
/// As [`read`].
pub fn read_with_logos(
    text: &str,
    id: String,
    progress: &mut dyn FnMut(usize),
) -> Result<CatalogueFile, Vec<FileError>> {
    // Some editors put a byte order mark first; JSON has none.
    let errors = Errors::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let file = read_file(&Value::file(&errors), id, progress);
    match file {
        Some(file) if errors.is_empty() => Ok(file),
        _ => Err(errors.into_found()),
    }
}

fn read_file(value: &Value<'_, '_>, id: String, progress: &mut dyn FnMut(usize)) -> Option<CatalogueFile> {
    let mut object = Object::open(value)?;
    // A file of another format is not read further: every line of it would be an error.
    object.must("format", |value| value.word(&[(FORMAT, ())]))?;
    let mut seen = Seen::default();
    let brands = object.must("brands", |list| brands(list, &mut seen, progress));
    let homepage = object.or("homepage", BTreeMap::new(), |value| homepage(value, &seen));
    let coupons = object.or("coupons", Vec::new(), |list| coupons::coupons(list, &seen));
    object.finish();
    let (brands, homepage, coupons) = (brands?, homepage?, coupons?);
    if !value.errors().is_empty() {
        return None;
    }
    match Catalogue::build(id, brands, homepage, coupons) {
        Ok(catalogue) => Some(CatalogueFile { catalogue, logos: seen.logo_files() }),
        // `Seen` reports doubles with their lines, so this happens only when the two disagree.
        Err(error) => value.refuse(error.to_string()),
    }
}

fn brands<'t>(list: &Value<'t, '_>, seen: &mut Seen<'t>, progress: &mut dyn FnMut(usize)) -> Option<Vec<Brand>> {
    let records = list.list(MOST_BRANDS)?;
    let mut brands = Vec::with_capacity(records.len());
    for (at, record) in records.iter().enumerate() {
        if record.errors().is_full() {
            return None;
        }
        brands.extend(records::brand(record, seen));
        if (at + 1).is_multiple_of(PROGRESS_EVERY) || at + 1 == records.len() {
            progress(at + 1);
        }
    }
    Some(brands)
}

/// Featured and trending brands by country, in the operator's order.
fn homepage(value: &Value<'_, '_>, seen: &Seen<'_>) -> Option<BTreeMap<String, Homepage>> {
    let object = Object::open(value)?;
    let mut pages = BTreeMap::new();
    for (country, value) in object.others() {
        if let Err(message) = records::known_country(country) {
            value.complain(message);
            continue;
        }
        let Some(mut page) = Object::open(&value) else { continue };
        let featured = page.or("featured", Vec::new(), |list| featured_brands(list, country, seen));
        let trending = page.or("trending", Vec::new(), |list| featured_brands(list, country, seen));
        page.finish();
        let page = Homepage { featured: featured.unwrap_or_default(), trending: trending.unwrap_or_default() };
        if pages.insert(country.to_owned(), page).is_some() {
            value.complain("stands twice in one object");
        }
    }
    Some(pages)
}

fn featured_brands(list: &Value<'_, '_>, country: &str, seen: &Seen<'_>) -> Option<Vec<String>> {
    let mut names = HashSet::new();
    list.each(MOST_FEATURED, |item| {
        let name = item.name()?;
        if !seen.has_brand(country, &name) {
            return item.refuse(format!("this file has no brand {name:?} in {country}"));
        }
        if !names.insert(name.clone()) {
            return item.refuse(format!("{name:?} stands twice in this list"));
        }
        Some(name)
    })
}

/// What the file named so far, with its slice of the text, so that a second mention can point to the first.
#[derive(Default)]
struct Seen<'t> {
    /// Country, then brand name. Faulty records stand here too: mentioning them is no second error.
    brands: HashMap<String, HashMap<String, &'t str>>,
    skus: HashMap<String, &'t str>,
    categories: HashSet<String>,
    slugs: Slugs,
    /// Logo slug to file and the place that named it.
    logos: BTreeMap<String, (String, &'t str)>,
}

impl<'t> Seen<'t> {
    fn note_brand(&mut self, record: &Value<'t, '_>, country: &str, name: &str) {
        let in_country = self.brands.entry(country.to_owned()).or_default();
        if let Some(first) = in_country.insert(name.to_owned(), record.raw()) {
            let line = record.errors().line_of(first);
            record.complain(format!("brand {name:?} stands twice for {country}; first on line {line}"));
        }
        self.slugs.of(name);
    }

    fn note_sku(&mut self, value: &Value<'t, '_>, sku: &str) {
        if let Some(first) = self.skus.insert(sku.to_owned(), value.raw()) {
            let line = value.errors().line_of(first);
            value.complain(format!("sku {sku:?} stands twice in this file; first on line {line}"));
        }
    }

    /// Countries share the logo of a brand name, so they cannot have two.
    fn note_logo(&mut self, value: &Value<'t, '_>, name: &str, slug: &str, file: String) {
        if let Some((other, first)) = self.logos.get(slug) {
            if *other != file {
                let line = value.errors().line_of(first);
                value.complain(format!("brand {name:?} has the logo {other:?} on line {line}; a name has one"));
            }
            return;
        }
        self.logos.insert(slug.to_owned(), (file, value.raw()));
    }

    fn note_categories<'c>(&mut self, categories: impl Iterator<Item = &'c String>) {
        for category in categories {
            if !self.categories.contains(category) {
                self.categories.insert(category.clone());
            }
        }
    }

    fn slug(&mut self, name: &str) -> String {
        self.slugs.of(name)
    }

    fn has_brand(&self, country: &str, name: &str) -> bool {
        self.brands.get(country).is_some_and(|brands| brands.contains_key(name))
    }

    fn has_brand_name(&self, name: &str) -> bool {
        self.slugs.knows(name)
    }

    fn has_category(&self, category: &str) -> bool {
        self.categories.contains(category)
    }

    fn logo_files(self) -> BTreeMap<String, String> {
        self.logos.into_iter().map(|(slug, (file, _))| (slug, file)).collect()
    }
}
