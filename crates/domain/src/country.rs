//! The countries that the shop knows: the 233 two-letter codes of contract 3.14, and nothing about them.
//!
//! Their names are data (`demo/countries.json`) and are read elsewhere. Called where a country comes from outside:
//! catalogue import and request paths. Must never guess: `us` is not a country here, `US` is.

/// Codes in alphabetical order, upper-case ISO 3166-1 alpha-2; `XK` (Kosovo) is the one user-assigned code.
///
/// Absent on purpose, as in the contract's own list: AF BY CD CF CU IQ IR KP LY ML MM RU SD SS SY VE ZW.
#[rustfmt::skip]
pub const CODES: [&str; 233] = [
    "AD", "AE", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ", "BA", "BB", "BD", "BE",
    "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS", "BT", "BV", "BW", "BZ", "CA", "CC", "CG",
    "CH", "CI", "CK", "CL", "CM", "CN", "CO", "CR", "CV", "CW", "CX", "CY", "CZ", "DE", "DJ", "DK", "DM", "DO", "DZ",
    "EC", "EE", "EG", "EH", "ER", "ES", "ET", "FI", "FJ", "FK", "FM", "FO", "FR", "GA", "GB", "GD", "GE", "GF", "GG",
    "GH", "GI", "GL", "GM", "GN", "GP", "GQ", "GR", "GS", "GT", "GU", "GW", "GY", "HK", "HM", "HN", "HR", "HT", "HU",
    "ID", "IE", "IL", "IM", "IN", "IO", "IS", "IT", "JE", "JM", "JO", "JP", "KE", "KG", "KH", "KI", "KM", "KN", "KR",
    "KW", "KY", "KZ", "LA", "LB", "LC", "LI", "LK", "LR", "LS", "LT", "LU", "LV", "MA", "MC", "MD", "ME", "MF", "MG",
    "MH", "MK", "MN", "MO", "MP", "MQ", "MR", "MS", "MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA", "NC", "NE", "NF",
    "NG", "NI", "NL", "NO", "NP", "NR", "NU", "NZ", "OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM", "PN", "PR",
    "PS", "PT", "PW", "PY", "QA", "RE", "RO", "RS", "RW", "SA", "SB", "SC", "SE", "SG", "SH", "SI", "SJ", "SK", "SL",
    "SM", "SN", "SO", "SR", "ST", "SV", "SX", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO",
    "TR", "TT", "TV", "TW", "TZ", "UA", "UG", "UM", "US", "UY", "UZ", "VA", "VC", "VG", "VI", "VN", "VU", "WF", "WS",
    "XK", "YE", "YT", "ZA", "ZM",
];

/// Whether `code` is one of [`CODES`]; upper case only.
pub fn is_known(code: &str) -> bool {
    CODES.binary_search(&code).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_so_that_the_binary_search_finds_them() {
        assert!(CODES.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(CODES.iter().all(|code| is_known(code)));
    }

    #[test]
    fn the_seventeen_absent_countries_and_other_spellings_are_unknown() {
        let absent = "AF BY CD CF CU IQ IR KP LY ML MM RU SD SS SY VE ZW";
        for code in absent.split(' ').chain(["us", "USA", "U", "", "ZZ", " US"]) {
            assert!(!is_known(code), "{code}");
        }
        for code in ["US", "XK", "AX", "TR"] {
            assert!(is_known(code), "{code}");
        }
    }
}
