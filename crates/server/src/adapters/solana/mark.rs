//! What is remembered of a token account that ever had money: up to which slot its history was read, what lay in it then,
//! and the newest signature of that history; of a very long one also how far down it was listed. Kept by the store as text,
//! in the commit that keeps the transfers.

/// What is known of an account; by default it was never seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mark {
    /// Everything up to this slot, its own transactions included, is known.
    pub slot: i64,
    /// What lay in it then, in the mint's smallest units.
    pub amount: u64,
    pub signature: Option<String>,
    /// Of a history that is too long for one look: what is older than this place is read first.
    pub above: Option<Place>,
}

/// A transaction in a history, the oldest of its slot that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub slot: i64,
    pub signature: String,
}

impl Mark {
    /// Reads what [`Mark::text`] wrote.
    pub fn parse(text: &str) -> Option<Mark> {
        let mut parts = text.split(' ');
        let (slot, amount) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let signature = parts.next().filter(|signature| !signature.is_empty()).map(str::to_owned);
        let above = match parts.next() {
            None => None,
            Some(slot) => Some(Place { slot: slot.parse().ok()?, signature: parts.next()?.to_owned() }),
        };
        parts.next().is_none().then_some(Mark { slot, amount, signature, above })
    }

    pub fn text(&self) -> String {
        let above = self.above.as_ref().map(|above| format!(" {} {}", above.slot, above.signature));
        let signature = self.signature.as_deref().unwrap_or_default();
        format!("{} {} {signature}{}", self.slot, self.amount, above.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let signature =
            Some("5h6xBEauJ3PK6SWCZ1PGjBvj8vDdWG3KpwATGy1ARAXFSDwt8GFXM7W5Ncn16wmqokgpiKRLuS83KUxyZyv2sUYv".to_owned());
        let above = Some(Place { slot: 9, signature: "t".to_owned() });
        for mark in [
            Mark::default(),
            Mark { slot: 348_000_123, amount: u64::MAX, signature, above: None },
            Mark { slot: 7, amount: 0, signature: None, above: above.clone() },
            Mark { slot: 7, amount: 0, signature: Some("s".to_owned()), above },
        ] {
            assert_eq!(Mark::parse(&mark.text()), Some(mark));
        }
        assert_eq!(Mark::default().text(), "0 0 ");
        let above = Some(Place { slot: 9, signature: "t".to_owned() });
        assert_eq!(Mark { slot: 7, above, ..Mark::default() }.text(), "7 0  9 t");
        for text in ["", "7", "7 x ", "x 7 ", "7 -1 ", "7 1 s t", "7 1 s 9", "7 1 s 9 t u"] {
            assert_eq!(Mark::parse(text), None, "{text:?}");
        }
    }
}
