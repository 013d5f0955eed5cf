//! Bugs that tests plant, to prove that the simulator finds them. Without the feature `planted`, which only the
//! simulator's own tests switch on, every question here is answered with a constant no.

/// A rule that is left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A supplier is called before the attempt is committed.
    CallBeforeSent,
    /// Money that vanished from its chain stays counted.
    RevertedStaysCounted,
    /// A hold that was let go of is let go of again.
    ReleasedTwice,
    /// A code is picked without looking whether somebody owns it.
    OwnerUnchecked,
    /// Money for an expired order changes nothing.
    LateForgotten,
    /// Whatever body comes under a known idempotency key gets the first one's order.
    BodyIgnored,
    /// The refusal of a line is booked on its neighbour.
    NeighbourRefused,
    /// What a payer says of his payment is believed: it is paid out for money that nobody found.
    ClaimBelieved,
    /// A payout whose outcome is unknown is made again, under another reference.
    PayoutRepeated,
    /// Some of the transfers in a block are not noticed.
    DepositOverlooked,
    /// A payment counts as soon as it is seen where it should wait for the chain's tag.
    TagIgnored,
    /// A window ends by the clock, whether or not its network was looked at.
    ExpiredUnseen,
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in everything that runs on this thread.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether that bug is planted.
#[cfg(feature = "planted")]
pub fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether that bug is planted: it is not.
#[cfg(not(feature = "planted"))]
pub const fn is(_: Bug) -> bool {
    false
}
