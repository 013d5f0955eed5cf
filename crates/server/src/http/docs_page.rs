//! The viewer of the API's description at `/docs`: a page, its style sheet and its scripts, all inside the binary.
//!
//! The page is the same for everybody and holds no data: the scripts read `openapi.json` beside it. It must never load
//! anything from elsewhere, so [`CONTENT_SECURITY_POLICY`] forbids it, and with it every inline script. The router
//! serves each of [`ASSETS`] under its path, with that policy.

use axum::Router;
use axum::http::header;
use axum::routing::get;

/// One file of the viewer.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Where it is served, from the root.
    pub path: &'static str,
    /// The value of the Content-Type header.
    pub content_type: &'static str,
    pub body: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The page first. It names the style sheet and the first script, which names the other scripts.
pub const ASSETS: [Asset; 7] = [
    Asset { path: "/docs", content_type: "text/html; charset=utf-8", body: include_str!("assets/docs.html") },
    Asset {
        path: "/docs/viewer.css",
        content_type: "text/css; charset=utf-8",
        body: include_str!("assets/viewer.css"),
    },
    Asset { path: "/docs/viewer.js", content_type: SCRIPT, body: include_str!("assets/viewer.js") },
    Asset { path: "/docs/endpoint.js", content_type: SCRIPT, body: include_str!("assets/endpoint.js") },
    Asset { path: "/docs/try.js", content_type: SCRIPT, body: include_str!("assets/try.js") },
    Asset { path: "/docs/schemas.js", content_type: SCRIPT, body: include_str!("assets/schemas.js") },
    Asset { path: "/docs/pieces.js", content_type: SCRIPT, body: include_str!("assets/pieces.js") },
];

/// The value of the Content-Security-Policy header of all [`ASSETS`]: everything from this origin, nothing inline,
/// nowhere in a frame, and no form that leaves the page.
pub const CONTENT_SECURITY_POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/// Every file under its path.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let route = |router: Router<S>, asset: Asset| {
        let head =
            [(header::CONTENT_TYPE, asset.content_type), (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)];
        router.route(asset.path, get(move || async move { (head, asset.body) }))
    };
    ASSETS.into_iter().fold(Router::new(), route)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn page() -> &'static str {
        ASSETS[0].body
    }

    fn scripts() -> impl Iterator<Item = Asset> {
        ASSETS.into_iter().filter(|asset| asset.content_type == SCRIPT)
    }

    /// What stands in double quotes after every `mark`.
    fn quoted_after(text: &str, mark: &str) -> Vec<String> {
        text.split(mark).skip(1).filter_map(|rest| rest.split('"').nth(1)).map(str::to_owned).collect()
    }

    #[test]
    fn every_file_is_reached_from_the_page_and_no_other() {
        assert_eq!(ASSETS[0].path, "/docs");
        let addresses = [quoted_after(page(), "src="), quoted_after(page(), "href=")].concat();
        let mut reached: BTreeSet<String> = BTreeSet::new();
        for address in addresses {
            match address.as_str() {
                "#content" | "openapi.json" => {}
                _ => {
                    reached.insert(format!("/{address}"));
                }
            }
        }
        for script in scripts() {
            for name in quoted_after(script.body, "} from ") {
                let beside = name.strip_prefix("./").expect("scripts import what lies beside them");
                reached.insert(format!("/docs/{beside}"));
            }
        }
        let served: BTreeSet<String> = ASSETS[1..].iter().map(|asset| asset.path.to_owned()).collect();
        assert_eq!(reached, served);
    }

    /// The policy would silently drop them, and the page would look broken.
    #[test]
    fn nothing_needs_more_than_the_policy_allows() {
        let inline = ["<style", "style=", "onclick", "onload", "onsubmit", "javascript:", "<base"];
        for name in inline {
            assert!(!page().contains(name), "the page has {name}");
        }
        assert_eq!(page().matches("<script").count(), 1);
        for asset in ASSETS {
            for foreign in ["http://", "https://", "url(", "@import", "@font-face"] {
                assert!(!asset.body.contains(foreign), "{} has {foreign}", asset.path);
            }
        }
    }

    /// What the server answers may hold markup; as text it stays text.
    #[test]
    fn the_scripts_write_text_and_never_markup() {
        let ways_in = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "eval(",
            "Function(",
            "localStorage",
            "cookie",
        ];
        for script in scripts() {
            for way in ways_in {
                assert!(!script.body.contains(way), "{} has {way}", script.path);
            }
        }
        assert!(scripts().any(|script| script.body.contains("textContent")));
    }
}
