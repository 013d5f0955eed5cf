//! Which question a request asks: query, path and two headers in, one of `catalogue::Question` out.
//!
//! Different spellings of one question become the same question, so that they share one kept answer. What cannot
//! change an answer is dropped here: unknown parameters, unknown coupons, partners that nothing is bound to. Called by
//! `reads`.

use crate::http::store_api::catalogue::{PriceQuestion, ProductsQuestion, Question, SearchQuestion, Terms};
use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Uri};
use domain::ids::PartnerId;
use domain::validate::Market;

static COUNTRY_HEADER: HeaderName = HeaderName::from_static("x-country-iso-code");
static PARTNER_HEADER: HeaderName = HeaderName::from_static("x-cr-application");

/// Longest text that is searched for, in bytes.
const LONGEST_SEARCH: usize = 200;
const DEFAULT_LANGUAGE: &str = "en";

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    PaymentVias,
    Currencies,
    Brands,
    Homepage,
    Search,
    Products,
    Price,
    Countries,
}

/// A request as it was sent, as far as its answer can depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asked<'a> {
    pub endpoint: Endpoint,
    pub path: &'a str,
    /// Still encoded.
    pub query: &'a str,
    /// Of the header; empty where the answer does not depend on it.
    pub country: &'a str,
    /// Of the header; empty where the answer does not depend on it.
    pub partner: &'a str,
}

impl<'a> Asked<'a> {
    /// Allocates nothing: this stands before every hit.
    pub fn of(endpoint: Endpoint, parts: &'a Parts) -> Asked<'a> {
        let asked = Asked {
            endpoint,
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            country: "",
            partner: "",
        };
        match endpoint {
            Endpoint::PaymentVias | Endpoint::Currencies | Endpoint::Countries => asked,
            Endpoint::Brands | Endpoint::Homepage => Asked { country: text(&parts.headers, &COUNTRY_HEADER), ..asked },
            Endpoint::Search | Endpoint::Products | Endpoint::Price => {
                Asked { partner: text(&parts.headers, &PARTNER_HEADER), ..asked }
            }
        }
    }

    /// Path, query, country and partner. The path tells the endpoint.
    pub fn parts(&self) -> [&'a str; 4] {
        [self.path, self.query, self.country, self.partner]
    }

    /// The question, from the same URI. Errors: what is missing, as a text for the asker.
    pub fn question(&self, uri: &Uri, market: &Market) -> Result<Question, String> {
        let fields = Fields::of(uri)?;
        match self.endpoint {
            Endpoint::PaymentVias => Ok(Question::PaymentVias),
            Endpoint::Currencies => Ok(Question::Currencies),
            Endpoint::Countries => Ok(Question::Countries),
            Endpoint::Brands => Ok(Question::Brands { country: self.country_of(&fields)? }),
            Endpoint::Homepage => Ok(Question::Homepage { country: self.country_of(&fields)? }),
            Endpoint::Search => self.search(&fields, market),
            Endpoint::Products => self.products(&fields, market),
            Endpoint::Price => self.price(&fields, market),
        }
    }

    fn search(&self, fields: &Fields, market: &Market) -> Result<Question, String> {
        let text = fields.must("q")?;
        if text.len() > LONGEST_SEARCH {
            return Err(format!("q is too long to be searched for: at most {LONGEST_SEARCH} bytes"));
        }
        Ok(Question::Search(SearchQuestion {
            country: self.country_in_path(),
            text: text.to_owned(),
            language: fields.language(),
            terms: self.terms(fields, market),
        }))
    }

    fn products(&self, fields: &Fields, market: &Market) -> Result<Question, String> {
        let family = fields.get("family_name").map(str::to_lowercase);
        let brand = fields.get("brand_name").map(str::to_owned);
        if family.is_none() && brand.is_none() {
            return Err("family_name or brand_name is missing: products are listed by one of them".to_owned());
        }
        Ok(Question::Products(ProductsQuestion {
            country: self.country_in_path(),
            family,
            brand,
            language: fields.language(),
            terms: self.terms(fields, market),
        }))
    }

    fn price(&self, fields: &Fields, market: &Market) -> Result<Question, String> {
        let must = |name| fields.must(name).map(str::to_owned);
        must("coin")?;
        Ok(Question::Price(PriceQuestion {
            brand: must("brand_name")?,
            country: must("country_code")?,
            face_value: must("face_value")?,
            terms: self.terms(fields, market),
        }))
    }

    fn country_of(&self, fields: &Fields) -> Result<String, String> {
        let sent = fields.get("country_code").or(Some(self.country).filter(|country| !country.is_empty()));
        let missing = "country_code is missing: send it in the query, or the header X-Country-ISO-Code";
        sent.map(str::to_owned).ok_or_else(|| missing.to_owned())
    }

    /// As it stands there; a code needs no decoding, and what needs it is no code.
    fn country_in_path(&self) -> String {
        self.path.rsplit('/').next().unwrap_or_default().to_owned()
    }

    fn terms(&self, fields: &Fields, market: &Market) -> Terms {
        let coupon = fields.get("promo_code").and_then(|code| market.catalogue.coupon(code));
        let is_asset = |word: &&str| {
            market.rails.networks.iter().flat_map(|network| &network.assets).any(|asset| asset.payment_method == **word)
        };
        let has_margin = market.margins.iter().any(|rule| rule.partner.as_deref() == Some(self.partner));
        let has_coupon = coupon.is_some_and(|coupon| coupon.partners.iter().any(|partner| partner == self.partner));
        Terms {
            coin: fields.get("coin").map(str::to_owned),
            payment_method: fields.get("payment_method").filter(is_asset).map(str::to_owned),
            promo_code: coupon.map(|coupon| coupon.code.clone()),
            partner: (has_margin || has_coupon).then(|| PartnerId::new(self.partner)),
        }
    }
}

/// The decoded parameters of a query.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn of(uri: &Uri) -> Result<Fields, String> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let unreadable = "the query cannot be read: it must be name=value pairs joined by &";
        query.map(|Query(fields)| Fields(fields)).map_err(|_| unreadable.to_owned())
    }

    /// The first value of that name; an empty one is none.
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(field, value)| field == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    fn must(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| format!("{name} is missing in the query"))
    }

    /// `pt` of `pt-BR`; English for whatever is no language.
    fn language(&self) -> String {
        let asked = self.get("lang").unwrap_or(DEFAULT_LANGUAGE);
        let primary = asked.split(['-', '_']).next().unwrap_or_default();
        let is_language =
            (2..=3).contains(&primary.len()) && primary.bytes().all(|letter| letter.is_ascii_alphabetic());
        if is_language { primary.to_ascii_lowercase() } else { DEFAULT_LANGUAGE.to_owned() }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::store_api::testing;
    use axum::http::Request;

    /// Path and query, and the headers by name.
    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn question(endpoint: Endpoint, uri: &str, headers: &[(&str, &str)]) -> Result<Question, String> {
        let parts = parts(uri, headers);
        Asked::of(endpoint, &parts).question(&parts.uri, &testing::snapshot().market)
    }

    #[test]
    fn the_country_comes_from_the_query_and_then_from_the_header() {
        let header = [("X-Country-ISO-Code", "DE")];
        let brands = |country: &str| Ok(Question::Brands { country: country.to_owned() });
        let asked = |uri: &str, headers: &[(&str, &str)]| question(Endpoint::Brands, uri, headers);
        assert_eq!(asked("/v2/brands?country_code=US", &header), brands("US"));
        assert_eq!(asked("/v2/brands", &header), brands("DE"));
        assert_eq!(asked("/v2/brands?country_code=", &header), brands("DE"));
        assert!(asked("/v2/brands", &[]).expect_err("no country").contains("X-Country-ISO-Code"));
    }

    #[test]
    fn products_need_a_filter() {
        let refused = question(Endpoint::Products, "/v5/products/country/US?coin=USDC", &[]).expect_err("no filter");
        assert!(refused.contains("family_name or brand_name"), "{refused}");
        assert!(question(Endpoint::Search, "/v2/search/US?query=air", &[]).is_err(), "it is called q");
        let long = format!("/v2/search/US?q={}", "a".repeat(201));
        assert!(question(Endpoint::Search, &long, &[]).is_err());
        for missing in ["coin", "face_value", "brand_name", "country_code"] {
            let given =
                ["coin", "face_value", "brand_name", "country_code"].into_iter().filter(|name| *name != missing);
            let query: Vec<String> = given.map(|name| format!("{name}=x")).collect();
            let uri = format!("/v4/products/price?{}", query.join("&"));
            let refused = question(Endpoint::Price, &uri, &[]).expect_err("something is missing");
            assert!(refused.starts_with(missing), "{refused}");
        }
    }

    #[test]
    fn spellings_of_one_question_are_one_question() {
        let asked = |query: &str, headers: &[(&str, &str)]| {
            question(Endpoint::Products, &format!("/v5/products/country/US?{query}"), headers).expect("a question")
        };
        let plain = asked("family_name=airbnb&coin=USDC", &[]);
        let Question::Products(products) = &plain else { panic!("{plain:?}") };
        assert_eq!((products.country.as_str(), products.family.as_deref()), ("US", Some("airbnb")));
        for same in [
            "coin=USDC&family_name=AIRBNB&lang=en",
            "family_name=Airb%6eb&coin=USDC&lang=EN-us&cid=7",
            "family_name=airbnb&coin=USDC&promo_code=NONESUCH&payment_method=USER_WALLET",
        ] {
            assert_eq!(asked(same, &[]), plain, "{same}");
        }
        // No rule and no coupon of the sample market names this partner.
        assert_eq!(asked("family_name=airbnb&coin=USDC", &[("X-Cr-Application", "stranger")]), plain);
        let partner = asked("family_name=airbnb&coin=USDC", &[("x-cr-application", testing::PARTNER)]);
        assert_ne!(partner, plain);
        assert_ne!(asked("family_name=airbnb&coin=USDC&lang=ja", &[]), plain);
        assert_ne!(asked("family_name=airbnb&coin=USDC&promo_code=ten", &[]), plain);
    }
}
