//! Following one order until it is over: each state once, and the codes at the end.
//!
//! The stream of crate `api` opens lost connections again for as long as it is asked; here is the limit. A stream that
//! is silent for a while is checked by asking for the order itself, and after a few vain checks the command ends, with
//! the order untouched. The one place of `shop` where codes are shown. Called for `track` and `buy --track`.

use std::time::Duration;

use api::{Client, Order, OrderState, TrackError};

use super::failure::{Ending, Failure};
use super::show;
use super::terminal::{Form, Terminal};
use super::text::unix_seconds;

/// How long a stream may say nothing before the order is asked for. A shop that is well says nothing for as long as
/// nothing happens, so this is no fault by itself.
const SILENCE: Duration = Duration::from_secs(60);

/// The most faults in a row: checks without an answer, and messages that cannot be read.
const MOST_FAULTS: u32 = 5;

/// Shows each state of an order, from `first` on, and the codes when it is done.
///
/// It ends as [`Ending::Fine`] when the order is done, and as [`Ending::Refused`] when the shop says that nothing more
/// can happen to an order that is not.
///
/// # Errors
/// The shop cannot be reached for minutes, or it does not know the order (any more).
pub(super) async fn follow(client: &Client, first: Order, terminal: &mut Terminal<'_>) -> Result<Ending, Failure> {
    let mut tracking = client.subscribe(&first.order_id);
    let mut last = first;
    let mut faults = 0;
    terminal.result(&last, || show::state_line(&last))?;
    while last.order_state != OrderState::Done {
        let heard = match tokio::time::timeout(SILENCE, tracking.next()).await {
            Ok(None) => break,
            Ok(Some(Ok(order))) => Ok(order),
            Ok(Some(Err(TrackError::UnknownOrder))) => return Err(Failure::UnknownOrder),
            Ok(Some(Err(error @ (TrackError::Malformed(_) | TrackError::TooLarge)))) => Err(error.to_string()),
            Err(_elapsed) => client.order(&last.order_id).await.map_err(|error| error.to_string()),
        };
        match heard {
            Ok(order) => {
                faults = 0;
                if is_older(&order, &last) {
                    continue;
                }
                if is_news(&order, &last) {
                    terminal.result(&order, || show::state_line(&order))?;
                }
                last = order;
            }
            Err(reason) => {
                faults += 1;
                if faults >= MOST_FAULTS {
                    return Err(Failure::Lost { reason });
                }
                terminal.note(&format!("{reason} (still trying)"));
            }
        }
    }
    end(&last, terminal)
}

/// Shows the goods of an order that is done. Programs have read them in its last document.
fn end(last: &Order, terminal: &mut Terminal<'_>) -> Result<Ending, Failure> {
    if last.order_state != OrderState::Done {
        terminal.note(&format!(
            "The order ended as {} and the shop expects no more of it. `kiosk shop order` shows it.",
            last.order_state
        ));
        return Ok(Ending::Refused);
    }
    if terminal.form() == Form::Text {
        terminal.text(&show::goods(last))?;
    }
    Ok(Ending::Fine)
}

/// Whether a state is worth a line: it reads otherwise than the one before. A new connection repeats the last state,
/// and some changes, such as a later time alone, mean nothing to a buyer.
fn is_news(order: &Order, last: &Order) -> bool {
    order.order_state != last.order_state || show::remark(order) != show::remark(last)
}

/// Whether a state is from before the other: a stream that was held up on its way can come after a check.
fn is_older(order: &Order, last: &Order) -> bool {
    let at = |order: &Order| order.updated_at.as_deref().and_then(unix_seconds);
    match (at(order), at(last)) {
        (Some(order_at), Some(last_at)) => order_at < last_at,
        // The answer to a creation has no such time; nothing is older than that.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{done_order, new_order};
    use super::*;

    #[test]
    fn only_what_reads_otherwise_is_news() {
        let first = new_order();
        let mut next = first.clone();
        next.updated_at = Some("1790000061".to_owned());
        assert!(!is_news(&next, &first), "only the time changed");
        next.order_state = OrderState::PartialPaymentStarted;
        assert!(is_news(&next, &first));
        let mut more = next.clone();
        more.sent_coin_amount = "60".to_owned();
        assert!(is_news(&more, &next), "more money came");
        assert!(is_news(&done_order(), &more));
    }

    #[test]
    fn a_state_is_older_only_by_its_own_time() {
        let (first, done) = (new_order(), done_order());
        assert!(!is_older(&done, &first));
        assert!(!is_older(&first, &done), "a creation has no time of change");
        let mut earlier = done.clone();
        earlier.updated_at = Some("1790000119".to_owned());
        assert!(is_older(&earlier, &done));
        assert!(!is_older(&done, &done));
    }

    #[test]
    fn codes_are_shown_at_the_end_and_only_of_an_order_that_is_done() {
        let ended = |order: &Order, form: Form| {
            let (mut results, mut notes) = (Vec::<u8>::new(), Vec::<u8>::new());
            let ending =
                end(order, &mut Terminal::new(&mut results, &mut notes, form)).expect("vectors take everything");
            (ending, String::from_utf8(results).expect("only text was written"), notes)
        };
        let (ending, results, notes) = ended(&done_order(), Form::Text);
        assert_eq!(ending, Ending::Fine);
        assert!(results.contains("ABCD-EFGH"), "{results}");
        assert!(notes.is_empty());
        let (ending, results, _) = ended(&done_order(), Form::Json);
        assert_eq!((ending, results.as_str()), (Ending::Fine, ""));
        let (ending, results, notes) = ended(&new_order(), Form::Text);
        assert_eq!((ending, results.as_str()), (Ending::Refused, ""));
        assert!(!notes.is_empty());
    }
}
