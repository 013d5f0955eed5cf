//! What is remembered of a token account that ever had money: up to which slot its history was read, what lay in it then,
//! and the newest signature of that history. Kept by the store as text, in the commit that keeps the transfers.

/// What is known of an account; by default it was never seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// Everything up to this slot, its own transactions included, is known.
    pub slot: i64,
    /// What lay in it then, in the mint's smallest units.
    pub amount: u64,
    pub signature: Option<String>,
}

impl Mark {
    /// Reads what [`Mark::text`] wrote.
    pub fn parse(text: &str) -> Option<Mark> {
        let mut parts = text.split(' ');
        let (slot, amount) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let signature = parts.next().filter(|signature| !signature.is_empty()).map(str::to_owned);
        parts.next().is_none().then_some(Mark { slot, amount, signature })
    }

    pub fn text(&self) -> String {
        format!("{} {} {}", self.slot, self.amount, self.signature.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let signature =
            Some("5h6xBEauJ3PK6SWCZ1PGjBvj8vDdWG3KpwATGy1ARAXFSDwt8GFXM7W5Ncn16wmqokgpiKRLuS83KUxyZyv2sUYv".to_owned());
        for mark in [
            Mark::default(),
            Mark { slot: 348_000_123, amount: u64::MAX, signature },
            Mark { slot: 7, amount: 0, signature: None },
        ] {
            assert_eq!(Mark::parse(&mark.text()), Some(mark));
        }
        assert_eq!(Mark::default().text(), "0 0 ");
        for text in ["", "7", "7 x ", "x 7 ", "7 -1 ", "7 1 s t"] {
            assert_eq!(Mark::parse(text), None, "{text:?}");
        }
    }
}
