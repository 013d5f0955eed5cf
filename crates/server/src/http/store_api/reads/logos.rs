//! GET `/logos/{file}`: logos in the six variants of contract section 7, drawn when first asked for and kept.
//!
//! A brand's picture is the operator's upload or a letter mark; coins, networks and vias have letter marks. A name that
//! belongs to nothing must never reach the database or the renderer. Called by the router.

use crate::entropy::from_base64url;
use crate::http::App;
use crate::http::error::ApiError;
use crate::http::representation::{already_known, entity_tag, full, not_modified, quoted};
use crate::http::store_api::catalogue::sign_slug;
use crate::logos::{LogoError, Source, Variant, parse_color, render, split_name};
use crate::store::catalogue;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use domain::validate::Market;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use tokio::sync::Semaphore;

/// Bytes that all kept files may take.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// What an entry takes beside its file.
const OVERHEAD_BYTES: usize = 2 * 1024;
/// Logos drawn at once: each may need a hundred megabytes for an upload at the limits.
const RENDERERS: usize = 2;
/// A day. The address of a logo stays when its picture changes, so it cannot be for ever.
const CACHE_CONTROL: &str = "public, max-age=86400";
/// Behind the letters of what has no colour of its own.
const PLAIN_BACKGROUND: [u8; 3] = [0x33, 0x3d, 0x4b];

/// Logos that were drawn, of one import of the catalogue.
pub struct LogoCache {
    kept: RwLock<Kept>,
    renderers: Semaphore,
}

#[derive(Default)]
struct Kept {
    catalogue: String,
    bytes: usize,
    files: HashMap<String, Arc<LogoFile>>,
}

/// One file with its headers.
struct LogoFile {
    body: Bytes,
    headers: HeaderMap,
}

/// What a letter mark shows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sign {
    name: String,
    /// Red, green, blue.
    background: [u8; 3],
}

impl Default for LogoCache {
    fn default() -> Self {
        LogoCache { kept: RwLock::default(), renderers: Semaphore::new(RENDERERS) }
    }
}

impl LogoCache {
    fn recall(&self, catalogue: &str, name: &str) -> Option<Arc<LogoFile>> {
        let kept = self.kept.read().expect("nobody panics while keeping logos");
        kept.files.get(name).filter(|_| kept.catalogue == catalogue).cloned()
    }

    fn keep(&self, catalogue: &str, name: &str, file: &Arc<LogoFile>) {
        let cost = file.body.len() + OVERHEAD_BYTES;
        if cost > MOST_BYTES {
            return;
        }
        let mut kept = self.kept.write().expect("nobody panics while keeping logos");
        if kept.catalogue != catalogue || kept.bytes + cost > MOST_BYTES {
            *kept = Kept { catalogue: catalogue.to_owned(), ..Kept::default() };
        }
        kept.bytes += cost;
        if let Some(replaced) = kept.files.insert(name.to_owned(), file.clone()) {
            kept.bytes -= replaced.body.len() + OVERHEAD_BYTES;
        }
    }
}

impl LogoFile {
    fn new(body: Vec<u8>, variant: Variant) -> LogoFile {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(variant.content_type()));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL));
        headers.insert(header::ETAG, quoted(&entity_tag(&body)));
        LogoFile { body: body.into(), headers }
    }

    fn response(&self, asked: &HeaderMap) -> Response {
        match already_known(asked, &[&self.headers]) {
            Some(known) => not_modified(known),
            None => full(&self.headers, &self.body),
        }
    }
}

/// GET `/logos/{file}`. 404 for a name that is no logo of this shop.
pub async fn logo(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let name = parts.uri.path().rsplit('/').next().unwrap_or_default();
    let snapshot = app.engine.shared.snapshot();
    let import = &snapshot.market.catalogue.id;
    let logos = &app.reads.logos;
    if let Some(file) = logos.recall(import, name) {
        return Ok(file.response(&parts.headers));
    }
    let (slug, variant) = split_name(name).ok_or_else(ApiError::not_found)?;
    let sign = sign_of(&snapshot.market, slug).ok_or_else(ApiError::not_found)?;
    let turn = logos.renderers.acquire().await.expect("the semaphore is never closed");
    // Somebody else may have drawn it while this request waited.
    if let Some(file) = logos.recall(import, name) {
        return Ok(file.response(&parts.headers));
    }
    let wanted = slug.to_owned();
    let upload = app.engine.db.read(move |tx| catalogue::logo(tx, &wanted)).await?;
    let drawn = tokio::task::spawn_blocking(move || draw(&sign, upload.as_deref(), variant)).await;
    drop(turn);
    let body = drawn.map_err(std::io::Error::other).and_then(|drawn| drawn.map_err(std::io::Error::other));
    let body = body.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, slug, "a logo could not be drawn");
        ApiError::not_found()
    })?;
    let file = Arc::new(LogoFile::new(body, variant));
    logos.keep(import, name, &file);
    Ok(file.response(&parts.headers))
}

/// What has a logo of that name: a brand in whatever country, active or not (old orders show it too), or a coin,
/// network or via.
fn sign_of(market: &Market, slug: &str) -> Option<Sign> {
    if let Some(brand) = market.catalogue.brands.iter().find(|brand| brand.logo_slug == slug) {
        let background = parse_color(&brand.background).unwrap_or(PLAIN_BACKGROUND);
        return Some(Sign { name: brand.name.clone(), background });
    }
    let traded = market.exchange.currencies.iter();
    let currencies = traded.map(|currency| ("currency", &currency.xml));
    if let Some((_, xml)) = currencies.into_iter().find(|(kind, xml)| sign_slug(kind, xml) == slug) {
        let name = market.exchange.currency(xml).map_or(xml, |currency| &currency.symbol).clone();
        return Some(Sign { name, background: PLAIN_BACKGROUND });
    }
    let coins = market.rails.coins.iter().map(|coin| ("coin", &coin.name));
    let networks = market.rails.networks.iter().map(|network| ("network", &network.name));
    let vias = market.vias.iter().map(|via| ("via", via));
    let found = coins.chain(networks).chain(vias).find(|(kind, name)| sign_slug(kind, name) == slug);
    found.map(|(_, name)| Sign { name: name.clone(), background: PLAIN_BACKGROUND })
}

/// The upload, which is base64url text; a letter mark without one. The import refuses uploads that do not render, so a
/// broken one is damage: it is logged, and shoppers see the mark.
fn draw(sign: &Sign, upload: Option<&str>, variant: Variant) -> Result<Vec<u8>, LogoError> {
    let mark = Source::LetterMark { name: &sign.name, background: sign.background };
    let Some(upload) = upload else {
        return render(&mark, variant);
    };
    let bytes = from_base64url(upload).unwrap_or_default();
    let picture = Source::Image { bytes: &bytes, background: sign.background };
    render(&picture, variant).or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, brand = %sign.name, "the stored logo is damaged");
        render(&mark, variant)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::to_base64url;
    use crate::http::store_api::testing;
    use axum::http::StatusCode;

    fn file(bytes: usize) -> Arc<LogoFile> {
        Arc::new(LogoFile { body: vec![0; bytes].into(), headers: HeaderMap::new() })
    }

    #[test]
    fn brands_coins_networks_and_vias_have_logos_and_nothing_else() {
        let snapshot = testing::snapshot();
        let name = |slug| sign_of(&snapshot.market, slug).map(|sign| sign.name);
        assert_eq!(name("airbnb").as_deref(), Some("Airbnb"));
        assert_eq!(name("closed-card").as_deref(), Some("Closed Card"), "old orders show it");
        assert_eq!(name("coin_usdc").as_deref(), Some("USDC"));
        assert_eq!(name("network_polygon-matic").as_deref(), Some("Polygon (Matic)"));
        assert_eq!(name("via_user-wallet").as_deref(), Some("USER_WALLET"));
        for slug in ["nonesuch", "Airbnb", "usdc", "coin_", "../airbnb", ""] {
            assert_eq!(name(slug), None, "{slug}");
        }
        let airbnb = sign_of(&snapshot.market, "airbnb").expect("a brand");
        assert_eq!(airbnb.background, [0xff, 0x5a, 0x5f]);
    }

    #[test]
    fn every_variant_is_drawn_also_from_a_damaged_upload() {
        let sign = Sign { name: "Airbnb".to_owned(), background: [1, 2, 3] };
        let damaged = to_base64url(b"no picture at all");
        for variant in Variant::ALL {
            let mark = draw(&sign, None, variant).expect("a letter mark");
            assert_eq!(draw(&sign, Some(damaged.as_str()), variant).expect("the mark instead"), mark);
            assert_eq!(draw(&sign, Some("not base64url!"), variant).expect("the mark instead"), mark);
        }
    }

    #[test]
    fn logos_are_kept_until_the_next_import_or_until_there_are_too_many() {
        let cache = LogoCache::default();
        let (one, other) = (file(10), file(20));
        cache.keep("import-1", "a.jpg", &one);
        cache.keep("import-1", "b.jpg", &other);
        let kept = |import: &str, name: &str| cache.recall(import, name).map(|file| file.body.len());
        assert_eq!((kept("import-1", "a.jpg"), kept("import-1", "b.jpg")), (Some(10), Some(20)));
        assert_eq!(kept("import-2", "a.jpg"), None);
        cache.keep("import-2", "a.jpg", &other);
        assert_eq!((kept("import-2", "a.jpg"), kept("import-1", "b.jpg")), (Some(20), None));
        cache.keep("import-2", "huge.jpg", &file(MOST_BYTES));
        assert_eq!(
            (kept("import-2", "a.jpg"), kept("import-2", "huge.jpg")),
            (Some(20), None),
            "it would push out all"
        );
        let half = file(MOST_BYTES / 2);
        for name in ["c.jpg", "d.jpg"] {
            cache.keep("import-2", name, &half);
        }
        assert_eq!(
            (kept("import-2", "a.jpg"), kept("import-2", "c.jpg"), kept("import-2", "d.jpg").is_some()),
            (None, None, true)
        );
        // The same file again replaces itself and is not counted twice.
        cache.keep("import-2", "d.jpg", &file(1));
        cache.keep("import-2", "e.jpg", &half);
        assert_eq!(kept("import-2", "d.jpg"), Some(1));
    }

    #[test]
    fn a_logo_that_the_asker_has_is_not_sent_again() {
        let logo = LogoFile::new(vec![0; 10], Variant::Jpg300x190);
        let first = logo.response(&HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[header::CONTENT_TYPE], "image/jpeg");
        let mut asked = HeaderMap::new();
        asked.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(logo.response(&asked).status(), StatusCode::NOT_MODIFIED);
    }
}
